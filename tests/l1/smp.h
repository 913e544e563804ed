/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMP_H
#define SMP_H

/* What tests/kvm_smp.c knows of its L1. */

#define SMP_CPUS  2
#define SMP_L2S   6   /* of both together, in turn */
#define SMP_EXITS 200 /* of each of the three kinds, of each L2 */

/* Ports of the L2s. */
#define SMP_CALLBACK  0x10 /* a handler deals with it, when it is registered */
#define SMP_REFLECTED 0x11 /* no condition holds for it */

#endif
