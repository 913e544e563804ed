/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a guarded call through the agent. It comes from the API page's hook, still on the
 * caller's stack and with the caller's arguments; the way out is the door, where the root takes
 * over. A call that a guarded function or a callback makes by itself comes in here, too, on the
 * agent's stack already: it goes deeper on it and returns by RET.
 */
#define AGENT_ROOM 4096 /* of the stack, for one call's agent and callback */

    .text
    .globl guard_enter
guard_enter:
    cld
    leaq guard_stack(%rip), %rax
    cmpq %rax, %rsp
    jb from_outside
    leaq guard_stack_top(%rip), %rax
    cmpq %rax, %rsp
    jb from_inside
from_outside:
    testl $2, guard_plan + 12(%rip) /* MEZZ_GUARD_OWN_STACK */
    jz begin_outside
    leaq guard_stack_top(%rip), %rsp
begin_outside:
    movl $1, %eax
    jmp begin
from_inside:
    leaq guard_stack + AGENT_ROOM(%rip), %rax
    cmpq %rax, %rsp
    jb no_room
    xorl %eax, %eax
begin:
    pushq %rbp
    movq %rsp, %rbp
    pushq %rax
    pushq %r10
    pushq %r9 /* the six arguments, ascending */
    pushq %r8
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    movl %r11d, %edi
    movq %rsp, %rsi
    movq -8(%rbp), %rdx /* not 0: outermost */
    andq $-16, %rsp
    call agent_call
    cmpq $0, -8(%rbp)
    jne outside
    /* A compiler that has seen the function may count on registers that it leaves alone. The root
     * restores those of the outermost call. */
    leaq -64(%rbp), %rsp
    popq %rdi
    popq %rsi
    leaq 8(%rsp), %rsp /* RDX may be half of the result; otherwise it is the caller's */
    popq %rcx
    popq %r8
    popq %r9
    popq %r10
    movq %rbp, %rsp
    popq %rbp
    ret
no_room:
    ud2 /* a function that calls itself too often ends its program: any result would be a wrong one */
outside:
    movq %rbp, %rsp
    popq %rbp
    movl guard_record + 4(%rip), %edi
    jmp guard_door

/* int64_t agent_run(body, const uint64_t argument[6]); with RDX, the other one */
    .globl agent_run
    .globl agent_run_both
agent_run:
agent_run_both:
    pushq %rbp
    movq %rsp, %rbp
    movq %rdi, %rax
    movq %rsi, %r10
    movq (%r10), %rdi
    movq 8(%r10), %rsi
    movq 16(%r10), %rdx
    movq 24(%r10), %rcx
    movq 32(%r10), %r8
    movq 40(%r10), %r9
    andq $-16, %rsp
    call *%rax
    movq %rbp, %rsp
    popq %rbp
    ret

/* The call in guard_record, and all around it, end here. */
    .globl agent_kill
agent_kill:
    movl $2, %edi /* MEZZ_GUARD_KILLED */
    jmp guard_door

/* int64_t agent_ask(void): what somebody else says of the call in guard_record, by way of the door. */
    .globl agent_ask
    .globl guard_answered
agent_ask:
    movl $0x100, %edi /* MEZZ_GUARD_ASKS */
    jmp guard_door
guard_answered:
    ret

/* int agent_copy(void *to, const void *from, uint64_t n): 0, or -1 if the caller's memory is not
 * there. */
    .globl agent_copy
    .globl guard_copy
    .globl guard_copy_fault
agent_copy:
    movq %rdx, %rcx
guard_copy:
    rep movsb
    xorl %eax, %eax
    ret
guard_copy_fault:
    movl $-1, %eax
    ret

    .section .guard_plan, "ax"
    .balign 16
    .globl guard_plan
guard_plan:
    .ascii "the root's plan"
    .skip 8192 - 15, 0xcc

    .section .guard_door, "ax"
    .balign 4096
    .globl guard_door
guard_door:
    .ascii "the door"
    .skip 4096 - 8, 0xcc

    .section .guard_stack, "aw", @nobits
    .balign 4096
    .globl guard_stack
    .type guard_stack, @object
    .size guard_stack, 16384
guard_stack:
    .skip 16384
guard_stack_top:

    .section .guard_exchange, "aw", @nobits
    .balign 4096
    .globl guard_exchange
    .type guard_exchange, @object
    .size guard_exchange, 16384
guard_exchange:
    .skip 16384
    .section .note.GNU-stack, "", @progbits
