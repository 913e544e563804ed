/* SPDX-License-Identifier: Apache-2.0 */
/* From PVH's 32-bit protected mode to bench_main, the page tables, and what the L2s run. */
#include "layout.h"
#include "lib/entry.inc"

    pvh_note pvh_entry

    .text
    .code32
    .globl pvh_entry
pvh_entry:
    enter_long_mode CODE64, long_mode

    .code64
long_mode:
    movl $DATA_SELECTOR, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $stack_top, %esp
    xorl %ebp, %ebp
    movl %ebx, %edi
    call bench_main
1:  hlt
    jmp 1b

/* What an L2 runs: VMCS12's registers say where it goes. */
    .balign 64
    .globl l2_port_loop
l2_port_loop:
    outb %al, %dx
    jmp l2_port_loop

    .balign 64
    .globl l2_turns_loop
l2_turns_loop:
    outb %al, %dx
    jmp 1f
1:  outb %al, %dx
    jmp 2f
2:  outb %al, $REFLECTED_PORT
    jmp l2_turns_loop

    .balign 64
    .globl l2_memory_loop
l2_memory_loop:
    movb %al, (%rbx)
    jmp l2_memory_loop

    .balign 64
    .globl l2_gate_loop
l2_gate_loop:
    movb %al, (%rbx)
    jmp 1f
1:  movb %cl, (%rbx)
    jmp l2_gate_loop

    .section .rodata
    .balign 8
    .globl gdt
gdt:
    .quad 0
    .quad 0
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
    .globl gdt_end
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt

    identity_tables 3

    .bss
    .balign 16
    .skip STACK_SIZE
stack_top:
    .section .note.GNU-stack, "", @progbits
