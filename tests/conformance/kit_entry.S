/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kit's assembler part: from PVH's 32-bit protected mode to kit_main, L1's tables, a way into
 * ring 3 and back, and what the L2s start with.
 */
#include "kit_layout.h"
#include "lib/entry.inc"

    pvh_note kit_entry

    .section .text.stubs, "ax"
    .globl kit_stubs
kit_stubs:
    stubs KIT_VECTORS, KIT_STUB_SIZE, exception

/* struct kit_trap, on the stack. */
exception:
    push_registers
    movq %rsp, %rdi
    movq %cr2, %rsi
    cld
    call kit_exception
    pop_registers
    addq $16, %rsp
    iretq

    .code32
    .globl kit_entry
kit_entry:
    enter_long_mode KIT_CODE64, long_mode

    .code64
long_mode:
    lidt idt_pointer
    movl $KIT_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movl $stack_top, %esp
    xorl %ebp, %ebp
    movl %ebx, %edi
    call kit_main
1:  hlt
    jmp 1b

/* void kit_user(rip, rsp, rflags, struct kit_trap *end): runs ring 3 until its first exception;
 * RAX of ring 3 is `end->rax` before and after. */
    .globl kit_user
kit_user:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, kit_user_stack
    movq %rcx, kit_user_end
    movq (%rcx), %rax
    pushq $KIT_USER_DATA | 3
    pushq %rsi
    pushq %rdx
    pushq $KIT_USER_CODE64 | 3
    pushq %rdi
    iretq

/* Called by kit_exception: back to who called kit_user. */
    .globl kit_user_leave
kit_user_leave:
    movq kit_user_stack, %rsp
    movq $0, kit_user_end
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

/* What a compiler may call by itself. */
    .globl memcpy
memcpy:
    movq %rdi, %rax
    movq %rdx, %rcx
    shrq $3, %rcx
    rep movsq
    movl %edx, %ecx
    andl $7, %ecx
    rep movsb
    ret

    .globl memset
memset:
    movq %rdi, %r8
    movq %rdx, %rcx
    movzbl %sil, %eax
    movabsq $0x0101010101010101, %rsi
    imulq %rsi, %rax
    shrq $3, %rcx
    rep stosq
    movl %edx, %ecx
    andl $7, %ecx
    rep stosb
    movq %r8, %rax
    ret

    .section .rodata
    .balign 8
gdt_pointer:
    .word gdt_end - kit_gdt - 1
    .quad kit_gdt
idt_pointer:
    .word idt_end - idt - 1
    .quad idt

    .macro gdt
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
    .quad 0x00cff3000000ffff
    .quad 0x00affb000000ffff
    .endm

    .balign 16
idt:
    interrupt_gates KIT_VECTORS, KIT_STUB_SIZE, KIT_BASE, KIT_CODE64
idt_end:

    .data
    .balign 16
    .globl kit_gdt
kit_gdt:
    gdt
    .quad 0, 0 /* KIT_TSS: kit_main fills it in */
gdt_end:
    .balign 16
    .globl kit_tss
kit_tss:
    .skip 104
kit_user_stack:
    .quad 0
    .globl kit_user_end
kit_user_end:
    .quad 0

    identity_tables 7 /* L1 enters ring 3, too */

    .bss
    .balign 16
    .skip KIT_STACK_SIZE
stack_top:

/* What L2s see of the image: their code, and these tables and a stack. */
    .section .l2.stubs, "ax"
l2_stubs:
    stubs KIT_VECTORS, KIT_STUB_SIZE, l2_exception

/* Tells L1 (KIT_L2_VECTOR_PORT), then goes on where the exception was. */
l2_exception:
    popq %rbx
    popq %rcx
    movq %rsp, %rsi
    movl $KIT_L2_VECTOR_PORT, %edx
    outb %al, %dx
    iretq

    .section .l2.data, "aw"
    .balign 4096
    .globl kit_l2_pml4
kit_l2_pml4:
    .quad l2_pdpt + 0x67
    .fill 511, 8, 0
l2_pdpt:
    .quad l2_directory + 0x67
    .fill 2, 8, 0
    .quad l2_high + 0x67
    .fill 508, 8, 0
l2_directory:
    .set address, 0
    .rept 512
    .quad address + 0xe7
    .set address, address + 0x200000
    .endr
l2_high: /* the fourth GiB, with the gate */
    .set address, 0xc0000000
    .rept 512
    .quad address + 0xe7
    .set address, address + 0x200000
    .endr
    .globl kit_l2_gdt
kit_l2_gdt:
    gdt
    .quad 0x00008b0000000067, 0
    .balign 16
    .globl kit_l2_idt
kit_l2_idt:
    interrupt_gates KIT_VECTORS, KIT_STUB_SIZE, KIT_L2_STUBS, KIT_CODE64
    .balign 4096
    .skip 4096
    .globl kit_l2_stack
kit_l2_stack:

    .section .note.GNU-stack, "", @progbits
