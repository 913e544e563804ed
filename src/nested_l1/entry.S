/* SPDX-License-Identifier: Apache-2.0 */
/* From PVH's 32-bit protected mode to l1_main, the processor's tables, and the exceptions' way in. */
#include "layout.h"
#include "lib/entry.inc"

    pvh_note pvh_entry

    .section .text.stubs, "ax"
    .globl exception_stubs
exception_stubs:
    stubs L1_EXCEPTIONS, 16, exception_entry

/* L1_KICK has no other effect than to end a HLT. */
    .balign 16, 0xcc
    iretq

    .balign 16, 0xcc
exception_entry:
    push_registers
    movq %rsp, %rdi
    movq %cr2, %rsi
    cld
    call exception_report

    .code32
    .globl pvh_entry
pvh_entry:
    enter_long_mode L1_CODE64, long_mode

    .code64
long_mode:
    lidt idt_pointer
    movl $L1_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movl $stack_top, %esp
    xorl %ebp, %ebp
    movl %ebx, %edi
    call l1_main
1:  hlt
    jmp 1b

    .section .rodata
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt
idt_pointer:
    .word idt_end - idt - 1
    .quad idt

    .balign 16
idt:
    interrupt_gates L1_VECTORS, 16, L1_BASE, L1_CODE64
idt_end:

    identity_tables 3

    .bss
    .balign 16
    .skip L1_STACK_SIZE
stack_top:
    .section .note.GNU-stack, "", @progbits
