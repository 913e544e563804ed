/* SPDX-License-Identifier: Apache-2.0 */
/* The processor's tables, complete in the image: page tables, GDT, TSS, IDT. */
#include "kernel/layout.h"

#define RO   0x061 /* present, accessed, dirty: nothing is left for a page walk to write */
#define RW   0x063
#define LARGE 0x080
#define NX   (1 << 63)

    .section .data.tables, "aw"

/* Entry 0 is for the first instructions only and dropped by kernel_main. */
    .balign 4096
    .globl kernel_pml4
kernel_pml4:
    .quad kernel_pdpt - KERNEL_BASE + RW
    .fill 510, 8, 0
    .quad kernel_pdpt - KERNEL_BASE + RW

/* One directory three times: identity or direct map (0) and image (510). 1..3 are filled on demand. */
    .globl kernel_pdpt
kernel_pdpt:
    .quad kernel_pd - KERNEL_BASE + RW
    .fill 509, 8, 0
    .quad kernel_pd - KERNEL_BASE + RW
    .quad 0

kernel_pd:
    .quad kernel_pt - KERNEL_BASE + RW
    .set address, 0x200000
    .rept 511
    .quad address + RW + LARGE + NX
    .set address, address + 0x200000
    .endr

kernel_pt:
    .set address, 0
    .rept 512
    .if address >= KERNEL_RODATA && address < KERNEL_TEXT
    .quad address + RO + NX
    .elseif address >= KERNEL_TEXT && address < KERNEL_DATA
    .quad address + RO
    .else
    .quad address + RW + NX
    .endif
    .set address, address + 4096
    .endr

/* Vector n's stub is 16 * n bytes into the code window. Gates: interrupts off; 3 and 0x80 for ring 3. */
    .macro gate index, attributes
    .short (KERNEL_TEXT + 16 * \index) & 0xffff
    .short SELECTOR_KERNEL_CODE
    .short \attributes
    .short ((KERNEL_BASE + KERNEL_TEXT) >> 16) & 0xffff
    .long 0xffffffff
    .long 0
    .endm

    .balign 16
    .globl kernel_idt
kernel_idt:
    .set index, 0
    .rept VECTOR_PLAIN
    .if index == VECTOR_NMI || index == VECTOR_DOUBLE_FAULT || index == VECTOR_MACHINE_CHECK
    gate index, 0x8e01
    .elseif index == 3
    gate index, 0xee00
    .else
    gate index, 0x8e00
    .endif
    .set index, index + 1
    .endr
    .fill (VECTOR_CALL - VECTOR_PLAIN) * 2, 8, 0
    gate VECTOR_PLAIN, 0xee00
kernel_idt_end:

    .balign 16
    .globl kernel_gdt
kernel_gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* ring 0 code */
    .quad 0x00cf93000000ffff /* ring 0 data */
    .quad 0x00cff3000000ffff /* ring 3 data */
    .quad 0x00affb000000ffff /* ring 3 code */
    .short 103, tss_base_0
    .byte tss_base_16, 0x89, 0, tss_base_24
    .long 0xffffffff, 0
    .quad 0x00cffb000000ffff /* ring 3 code of 32 bits */
    .quad 0x00afbb000000ffff /* ring 1 code */
    .quad 0x00cfb3000000ffff /* ring 1 data */
    .quad 0x00afdb000000ffff /* ring 2 code */
    .quad 0x00cfd3000000ffff /* ring 2 data */
kernel_gdt_end:

    .balign 16
    .globl kernel_tss
kernel_tss:
    .long 0
    .quad 0, 0, 0 /* rsp0: the running process's frame, set at every switch */
    .quad 0
    .quad fault_stack + FAULT_STACK_SIZE
    .quad 0, 0, 0, 0, 0, 0
    .quad 0
    .short 0, 104 /* no I/O bitmap */

    .balign 8
    .short 0, 0, 0
    .globl gdt_pointer
gdt_pointer:
    .short kernel_gdt_end - kernel_gdt - 1
    .quad kernel_gdt
    .short 0, 0, 0
    .globl gdt_pointer_low
gdt_pointer_low:
    .short kernel_gdt_end - kernel_gdt - 1
    .long kernel_gdt - KERNEL_BASE
    .short 0
    .globl idt_pointer
idt_pointer:
    .short kernel_idt_end - kernel_idt - 1
    .quad kernel_idt

    .bss
    .balign 4096
    .globl fault_stack
fault_stack:
    .skip FAULT_STACK_SIZE
    .globl kernel_stack_top
    .skip KERNEL_STACK_SIZE
kernel_stack_top:
    .section .note.GNU-stack, "", @progbits
