/* SPDX-License-Identifier: Apache-2.0 */
/* RDI: the command string, on top of a stack that is aligned to 16. */
    .text
    .globl _start
_start:
    xorl %ebp, %ebp
    call tiny_start
    ud2
    .section .note.GNU-stack, "", @progbits
