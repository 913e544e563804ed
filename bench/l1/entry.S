/* SPDX-License-Identifier: Apache-2.0 */
/* From PVH's 32-bit protected mode to bench_main, the page tables, and what the L2s run. */
#include "layout.h"
#include "mezz/pvh.h"

#define MSR_EFER 0xc0000080

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 8, MEZZ_PVH_NOTE_TYPE
    .asciz MEZZ_PVH_NOTE_NAME
    .quad pvh_entry

    .text
    .code32
    .globl pvh_entry
pvh_entry:
    cli
    cld
    movl $page_pml4, %eax
    movl %eax, %cr3
    movl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $MSR_EFER, %ecx
    xorl %edx, %edx
    movl $EFER_LME, %eax
    wrmsr
    movl $CR0_PG_WP_ET_PE, %eax
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmp $CODE64, $long_mode

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

/* The first 4 GiB one to one, 2 MiB a page; accessed and dirty, so that a walk writes nothing. */
    .section .data.tables, "aw"
    .balign 4096
    .globl page_pml4
page_pml4:
    .quad page_pdpt + 0x63
    .fill 511, 8, 0
page_pdpt:
    .quad page_directories + 0x63
    .quad page_directories + 0x1063
    .quad page_directories + 0x2063
    .quad page_directories + 0x3063
    .fill 508, 8, 0
page_directories:
    .set address, 0
    .rept 2048
    .quad address + 0xe3
    .set address, address + 0x200000
    .endr

    .bss
    .balign 16
    .skip STACK_SIZE
stack_top:
    .section .note.GNU-stack, "", @progbits
