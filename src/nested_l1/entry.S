/* SPDX-License-Identifier: Apache-2.0 */
/* From PVH's 32-bit protected mode to l1_main, the processor's tables, and the exceptions' way in. */
#include "layout.h"
#include "mezz/pvh.h"

#define CR0_PG_WP_ET_PE 0x80010011
#define CR4_PAE         0x20
#define MSR_EFER        0xc0000080
#define EFER_LME        0x100

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 8, MEZZ_PVH_NOTE_TYPE
    .asciz MEZZ_PVH_NOTE_NAME
    .quad pvh_entry

    .section .text.stubs, "ax"
    .balign 16
    .globl exception_stubs
exception_stubs:
    .set vector, 0
    .rept L1_EXCEPTIONS
    .balign 16, 0xcc
    .if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21
    pushq $0
    .endif
    pushq $vector
    jmp exception_entry
    .set vector, vector + 1
    .endr

/* L1_KICK has no other effect than to end a HLT. */
    .balign 16, 0xcc
    iretq

    .balign 16, 0xcc
exception_entry:
    pushq %r15
    pushq %r14
    pushq %r13
    pushq %r12
    pushq %r11
    pushq %r10
    pushq %r9
    pushq %r8
    pushq %rdi
    pushq %rsi
    pushq %rbp
    pushq %rbx
    pushq %rdx
    pushq %rcx
    pushq %rax
    movq %rsp, %rdi
    movq %cr2, %rsi
    cld
    call exception_report

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
    ljmp $L1_CODE64, $long_mode

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
    .set vector, 0
    .rept L1_VECTORS
    .word (L1_BASE + 16 * vector) & 0xffff
    .word L1_CODE64
    .word 0x8e00
    .word (L1_BASE + 16 * vector) >> 16
    .quad 0
    .set vector, vector + 1
    .endr
idt_end:

/* The first 4 GiB one to one, 2 MiB a page; accessed and dirty, so that a walk writes nothing. */
    .section .data.tables, "aw"
    .balign 4096
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
    .skip L1_STACK_SIZE
stack_top:
    .section .note.GNU-stack, "", @progbits
