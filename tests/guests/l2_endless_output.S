/* SPDX-License-Identifier: Apache-2.0 */
/* Writes for ever, with bytes that play with terminals and are not UTF-8. */
#include "guest.inc"
#include "mezz/abi.h"

start:
    movw $MEZZ_PORT_UART, %dx
1:  movl $text, %esi
    movl $(text_end - text), %ecx
2:  movb (%esi), %al
    outb %al, %dx
    incl %esi
    decl %ecx
    jnz 2b
    jmp 1b

text:
    .ascii "\033[2J\377\376 wild\n"
text_end:
