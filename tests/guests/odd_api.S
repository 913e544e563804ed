/* SPDX-License-Identifier: Apache-2.0 */
/* A library of functions that a guard has to refuse, each for a reason of its own. Never run. */
#include "functions.inc"

    .text
    .balign 4096
function api_open
    .skip 16, 0x90
    ret
end api_open
function helper
    ret
end helper

    .balign 4096
function api_read
    xorl %eax, %eax
    ret
end api_read

    .balign 4096
function api_write
    movl $5, %ecx
1:  decl %ecx
    movl $1, %eax
    movl $2, %edx
    jnz 1b
    ret
end api_write

    .balign 4096
function api_close
    movl $5, %ecx
    movl $1, %eax
    movl $2, %edx
    ret
    .byte 0x06, 0x07
end api_close

    .balign 4096
function api_send
    movl $5, %ecx
    movl $1, %eax
    movl $2, %edx
    addq %rdx, %rax /* a switch's, for who does not look closer */
    jmp *%rax
end api_send

    .balign 4096
function api_receive
    .skip 16, 0x90
    movl table(%rip), %eax
    ret
end api_receive
    .globl table
    .type table, @object
table:
    .long 42
end table

    .balign 4096
function api_sum
    jrcxz 1f
    movl $1, %eax
    movl $2, %edx
    movl $2, %edx
1:  ret
end api_sum

    .balign 4096
    .skip 4096 - 18, 0xcc
function api_append
    .skip 16, 0x90
    ret
end api_append
    .balign 4096
    .section .note.GNU-stack, "", @progbits
