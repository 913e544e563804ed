/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CALLS_H
#define VMM_CALLS_H

struct l1_vcpu;

/* L1's vCPU has exited with a call (mezz/calls.h): carries it out and leaves L1, or what it asked
 * to be run, ready. */
void calls_dispatch(struct l1_vcpu *l1);

/* For people: "enter", or "unknown". */
const char *call_name(unsigned int call);

#endif
