/* SPDX-License-Identifier: Apache-2.0 */
/* From PVH's 32-bit protected mode to kernel_main, every trap's way in, and the way to ring 3. */
#include "kernel/layout.h"
#include "abi/calls.h"
#include "mezz/pvh.h"

#define CR0_VALUE 0x8001003b /* PG WP NE ET TS MP PE: TS, as no one saves x87 state */
#define CR4_PAE   0x20
#define MSR_EFER  0xc0000080
#define EFER_LME_NXE 0x900

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 8, MEZZ_PVH_NOTE_TYPE
    .asciz MEZZ_PVH_NOTE_NAME
    .quad pvh_entry_physical

    .section .text.entry, "ax"
    .code32
    .globl pvh_entry
pvh_entry:
    cli
    cld
    movl $(kernel_pml4 - KERNEL_BASE), %eax
    movl %eax, %cr3
    movl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $MSR_EFER, %ecx
    xorl %edx, %edx
    movl $EFER_LME_NXE, %eax
    wrmsr
    movl $CR0_VALUE, %eax
    movl %eax, %cr0
    lgdt gdt_pointer_low - KERNEL_BASE
    ljmp $SELECTOR_KERNEL_CODE, $(long_mode - KERNEL_BASE)

    .code64
long_mode:
    movq $high_half, %rax
    jmp *%rax
high_half:
    lgdt gdt_pointer(%rip)
    lidt idt_pointer(%rip)
    movl $SELECTOR_KERNEL_DATA, %eax
    movl %eax, %ss
    movl %eax, %ds
    movl %eax, %es
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $SELECTOR_TSS, %eax
    ltr %ax
    leaq kernel_stack_top(%rip), %rsp
    movl %ebx, %edi
    xorl %ebp, %ebp
    call kernel_main
    ud2

/*
 * Ring 3's registers go straight into its process (TSS.rsp0 points behind the frame there), then the
 * one kernel stack is used from its top: a switch of processes is another frame to return to.
 * Faults of the kernel itself push onto the stack they happened on.
 */
trap_entry:
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    testb $3, FRAME_CS(%rdi)
    jz trap_in_kernel
    leaq kernel_stack_top(%rip), %rsp
    call trap_from_user
    movq %rax, %rdi
/* return_to(frame), does not return */
    .globl return_to
return_to:
    movq %rdi, %rsp
restore:
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp
    iretq
trap_in_kernel:
    call trap_from_kernel
    jmp restore

/*
 * long user_copy(void *to, const void *from, uint64_t n): 0, or -TINY_EFAULT if a page of the user
 * side is not there; trap_from_kernel knows that all of it may fault. Where a root hypervisor serves
 * a page, each element is an exit: so words, the last of which may overlap the one before it, and
 * single bytes only of what is shorter than a word.
 */
    .globl user_copy
    .globl user_copy_fault
user_copy:
    movq %rdx, %rcx
    shrq $3, %rcx
    jz copy_bytes
    rep movsq
    andl $7, %edx
    jz copied
    leaq -8(%rsi, %rdx), %rsi
    leaq -8(%rdi, %rdx), %rdi
    movsq
copied:
    xorl %eax, %eax
    ret
copy_bytes:
    movl %edx, %ecx
    rep movsb
    xorl %eax, %eax
    ret
user_copy_fault:
    movq $-TINY_EFAULT, %rax
    ret

/* long try_write_msr(uint32_t msr, uint64_t value): 0, or -TINY_EFAULT if the processor refuses. */
    .globl try_write_msr
    .globl try_write_msr_end
try_write_msr:
    movl %edi, %ecx
    movl %esi, %eax
    movq %rsi, %rdx
    shrq $32, %rdx
    wrmsr
    xorl %eax, %eax
    ret
try_write_msr_end:

/* Stub n at 16 * n: the IDT is data of the image and counts on it. */
    .section .text.vectors, "ax"
    .balign 4096
    .globl vector_stubs
vector_stubs:
    .set vector, 0
    .rept VECTOR_PLAIN + 1
    .balign 16, 0xcc
    .if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21
    pushq $0
    .endif
    .if vector == VECTOR_PLAIN
    pushq $VECTOR_CALL
    .else
    pushq $vector
    .endif
    jmp trap_entry
    .set vector, vector + 1
    .endr
    .section .note.GNU-stack, "", @progbits
