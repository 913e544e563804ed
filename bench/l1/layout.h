/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_L1_LAYOUT_H
#define BENCH_L1_LAYOUT_H

/* For C and assembler: the tables of entry.S, which L1 and its L2s share. */
#define CODE64        0x10
#define DATA_SELECTOR 0x18
#define STACK_SIZE    8192

/* Ports of an L2 that L1 intercepts. */
#define INTERCEPTED_PORT 0xe0
#define REFLECTED_PORT   0xe1

/* Guest-physical addresses of an L2 that its EPT12 treats differently from memory. The window is
 * readable and writable and not executable: KVM gets no slot for it. Nothing is not there. */
#define DATA_WINDOW 0x40000000
#define NOTHING     0x80000000

#endif
