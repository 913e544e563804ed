/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KIT_LAYOUT_H
#define KIT_LAYOUT_H

/* Where the kit's image and its L2s lie, for C, assembler and linker script. */

#define KIT_BASE      0x100000 /* the exception stubs of L1: its IDT counts on it */
#define KIT_L2_STUBS  0x101000 /* the exception stubs of the L2s: their IDT counts on it */
#define KIT_STUB_SIZE 16
#define KIT_VECTORS   64

/* The same selectors in L1 and in L2. */
#define KIT_CODE32      0x08
#define KIT_CODE64      0x10
#define KIT_DATA        0x18
#define KIT_USER_DATA   0x20
#define KIT_USER_CODE64 0x28
#define KIT_TSS         0x30

#define KIT_STACK_SIZE  16384

/* L2 addresses beyond what the image takes, where it is mapped one to one. */
#define KIT_L2_DATA   0x20000000 /* two pages that each L2 has, RWX */
#define KIT_L2_ABSENT 0x20002000 /* the page behind them: not in EPT12 */

/* An L2's handler of vector V does OUT to this port with V in RBX, the stack's top in RCX, and goes
 * on with IRETQ. */
#define KIT_L2_VECTOR_PORT 0x900

#endif
