/* SPDX-License-Identifier: Apache-2.0 */
/* Puts a number of its own into an XMM and an x87 register and looks at them for a while, longer
 * than a time slice. Ends with status 0; with 1 if either has changed. */
#include "guest.inc"
#include "mezz/abi.h"

#define CR4_OSFXSR 0x200
#define NUMBER     0x190000
#define ROUNDS     2000000

start:
    movl %cr4, %eax
    orl $CR4_OSFXSR, %eax
    movl %eax, %cr4
    fninit
    rdtsc
    orl $1, %eax
    movl %eax, %ebx
    movd %eax, %xmm7
    movl %eax, NUMBER
    fildl NUMBER
    movl $ROUNDS, %ecx
1:  movd %xmm7, %eax
    cmpl %ebx, %eax
    jne 2f
    fistl NUMBER
    cmpl %ebx, NUMBER
    jne 2f
    decl %ecx
    jnz 1b
    xorl %eax, %eax
    jmp 3f
2:  movl $1, %eax
3:  movw $MEZZ_PORT_DEBUG_EXIT, %dx
    outb %al, %dx
    hlt
