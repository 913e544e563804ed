/* SPDX-License-Identifier: Apache-2.0 */
/* From PVH's 32-bit protected mode to l1_main in 64-bit mode, and the L2's program. */
#include "mezz/pvh.h"
    .section .note.Xen, "a", @note
    .long 4, 8, MEZZ_PVH_NOTE_TYPE
    .asciz MEZZ_PVH_NOTE_NAME
    .quad start

    .text
    .code32
    .globl start
start:
    movl $page_tables, %eax
    movl %eax, %cr3
    movl $0x20, %eax /* CR4.PAE */
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    movl $0x100, %eax /* EFER.LME */
    xorl %edx, %edx
    wrmsr
    movl $0x80000011, %eax /* CR0.PG, ET, PE */
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $long_mode
    .code64
long_mode:
    movl $stack + 4096, %esp
    call l1_main

gdt:
    .quad 0, 0x00af9b000000ffff
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .quad gdt

/* L2's memory, one page: from address 0 it writes a text to port 0x3f8 and halts. */
    .data
    .balign 4096
    .globl l2_page
l2_page:
    .code16
    movw $0x3f8, %dx
    movw $text - l2_page, %si
1:  lodsb
    outb %al, %dx
    cmpb $'\n', %al
    jne 1b
    hlt
text:
    .ascii "hello from L2\n"

/* L1's memory: the first GiB one to one, in pages of 2 MiB. */
    .balign 4096
page_tables:
    .quad pointers + 3
    .balign 4096
pointers:
    .quad directory + 3
    .balign 4096
directory:
    .set address, 0
    .rept 512
    .quad address + 0x83
    .set address, address + 0x200000
    .endr
    .lcomm stack, 4096
