/* SPDX-License-Identifier: Apache-2.0 */
/* Sends a text by the interrupt of an empty transmitter, a character each, and ends with status 0;
 * with 1 if an interrupt comes of which the UART does not know. */
#include "guest.inc"
#include "mezz/abi.h"

#define IDT       0x180000
#define STACK     0x190000
#define UART_IRQ  4
#define VECTOR    (0x20 + UART_IRQ)
#define INTERRUPT 0x8e00

start:
    movl $STACK, %esp
    lgdt gdt_pointer
    ljmp $8, $1f
1:  movl $interrupt, %eax
    movw %ax, IDT + 8 * VECTOR
    movw $8, IDT + 8 * VECTOR + 2
    movw $INTERRUPT, IDT + 8 * VECTOR + 4
    shrl $16, %eax
    movw %ax, IDT + 8 * VECTOR + 6
    lidt idt_pointer
    movb $0x11, %al
    outb %al, $0x20
    movb $0x20, %al
    outb %al, $0x21
    movb $0x04, %al
    outb %al, $0x21
    movb $0x03, %al /* automatic end of interrupt */
    outb %al, $0x21
    movb $(0xff & ~(1 << UART_IRQ)), %al
    outb %al, $0x21
    movl $text, %esi
    movw $(MEZZ_PORT_UART + 4), %dx
    movb $0x0b, %al
    outb %al, %dx
    movw $(MEZZ_PORT_UART + 1), %dx
    movb $0x02, %al
    outb %al, %dx
wait: /* the handler's end, too: KVM's emulator has no IRET for protected mode */
    movl $STACK, %esp
    sti
    hlt
    jmp wait

interrupt:
    movw $(MEZZ_PORT_UART + 2), %dx
    inb %dx, %al
    andb $0x0f, %al
    cmpb $0x02, %al
    jne 9f
    movb (%esi), %al
    incl %esi
    testb %al, %al
    jz 8f
    movw $MEZZ_PORT_UART, %dx
    outb %al, %dx
    jmp wait
8:  xorl %eax, %eax
    jmp 7f
9:  movl $1, %eax
7:  movw $MEZZ_PORT_DEBUG_EXIT, %dx
    outb %al, %dx
    hlt

text:
    .asciz "sent by interrupts\n"

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt
idt_pointer:
    .word 8 * (VECTOR + 1) - 1
    .long IDT
