/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_HOT_H
#define HOST_HOT_H

/*
 * What runs at every exit stands side by side in the program (.text.hot), and what hardly ever runs
 * stands apart: fewer pages are touched between two KVM_RUNs. A world switch costs the processor
 * its translations on some hosts, and each page then costs a walk.
 */
#define HOT  __attribute__((hot))
#define COLD __attribute__((cold, noinline))
/* With all that it calls and that is not COLD: each call and return is another such look-up. */
#define WHOLE __attribute__((hot, flatten))

#endif
