/* SPDX-License-Identifier: Apache-2.0 */
/* Says so and jumps to an address where it has no memory. */
#include "guest.inc"
#include "mezz/abi.h"

#define NOTHING 0x70000000

start:
    movl $text, %esi
    movl $(text_end - text), %ecx
    movw $MEZZ_PORT_UART, %dx
1:  movb (%esi), %al
    outb %al, %dx
    incl %esi
    decl %ecx
    jnz 1b
    movl $NOTHING, %eax
    jmp *%eax

text:
    .ascii "jumping\n"
text_end:
