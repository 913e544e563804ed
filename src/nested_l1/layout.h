/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_LAYOUT_H
#define L1_LAYOUT_H

/*
 * Where the image lies and what its tables say, for C, assembler and linker script. Page tables,
 * GDT and IDT are data of the image: where ring 0 is emulated, every instruction at start costs.
 */
#define L1_BASE       0x100000 /* the exception stubs are here, 16 bytes each: the IDT counts on it */

#define L1_CODE32     0x08
#define L1_CODE64     0x10
#define L1_DATA       0x18

#define L1_EXCEPTIONS 32
#define L1_KICK       32 /* the vector by which L1's processors wake each other */
#define L1_VECTORS    33
#define L1_STACK_SIZE 16384

/* Exit statuses of L1, in MEZZ_CALL_EXIT or on the debug-exit port. */
#define L1_STATUS_OK        0 /* every L2 ended with status 0 */
#define L1_STATUS_NO_ROOT   1 /* no root hypervisor is present */
#define L1_STATUS_BAD_INPUT 2 /* command line, start info or module list */
#define L1_STATUS_VERSION   3 /* the root speaks another version of the ABI */
#define L1_STATUS_GUEST     4 /* an L2 ended with another status, died, or could not be started */
#define L1_STATUS_REFUSED   5 /* the root refused a call, or memory ran out */
#define L1_STATUS_EXCEPTION 6 /* a fault in L1 itself */

#endif
