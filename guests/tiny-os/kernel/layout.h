/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the kernel lives. Its parts have fixed windows so that page tables and IDT can be data of
 * the image, put together by assembler and linker: code that builds them would cost a millisecond
 * where ring 0 is emulated. kernel.ld asserts that everything fits.
 */
#ifndef TINY_KERNEL_LAYOUT_H
#define TINY_KERNEL_LAYOUT_H

#define KERNEL_BASE  0xffffffff80000000 /* + physical: the image, first GiB */
#define DIRECT_BASE  0xffffff8000000000 /* + physical: all of the low 4 GiB */
#define DIRECT_LIMIT 0x100000000

/* Physical windows, each of them whole pages. */
#define KERNEL_RODATA        0x100000
#define KERNEL_TEXT          0x110000
#define KERNEL_DATA          0x120000
#define KERNEL_LIMIT         0x200000

#define SELECTOR_KERNEL_CODE 0x08
#define SELECTOR_KERNEL_DATA 0x10
#define SELECTOR_USER_DATA   0x1b
#define SELECTOR_USER_CODE   0x23
#define SELECTOR_TSS         0x28
#define SELECTOR_USER_CODE32 0x3b /* nobody's but attackers', and so are the next */
#define SELECTOR_RING_1      0x40 /* code, data; then ring 2's */

#define KERNEL_STACK_SIZE    8192
#define FAULT_STACK_SIZE     4096

#define VECTOR_DEBUG         1
#define VECTOR_NMI           2
#define VECTOR_INVALID       6
#define VECTOR_DOUBLE_FAULT  8
#define VECTOR_PROTECTION    13
#define VECTOR_PAGE_FAULT    14
#define VECTOR_MACHINE_CHECK 18
#define VECTOR_IRQ           32 /* 16 of them */
#define VECTOR_CALL          128
#define VECTOR_PLAIN         48 /* vectors 0..47 have an entry, then only VECTOR_CALL */

/* struct frame, for the assembler. */
#define FRAME_VECTOR 120
#define FRAME_CS     144
#define FRAME_SIZE   176

#endif
