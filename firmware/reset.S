/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the reset vector to a PVH entry point. The root fills the table at the image's start;
 * firmware.h has its layout. TR stays as reset leaves it (base 0, a busy TSS): loading it would
 * write to the GDT, and this is read-only memory.
 */
#include "mezz/abi.h"
#include "mezz/firmware.h"

#define CR0_PE_ET     0x11
#define CODE_SELECTOR 0x08
#define DATA_SELECTOR 0x10
#define STATUS        1 /* of the debug-exit port when there is no entry: QEMU ends with 3 */

    .section .table, "a"
    .long MEZZ_FIRMWARE_MAGIC
    .long MEZZ_FIRMWARE_VERSION
    .globl table_entry
table_entry:
    .long 0
table_start_info:
    .long 0

    .section .text, "ax"
    .code16
real_mode:
    cli
    lgdtl %cs:gdt_pointer - MEZZ_FIRMWARE_ADDRESS
    movl $CR0_PE_ET, %eax
    movl %eax, %cr0
    ljmpl $CODE_SELECTOR, $protected_mode

    .code32
protected_mode:
    movl $DATA_SELECTOR, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movl table_start_info, %ebx
    movl table_entry, %eax
    testl %eax, %eax
    jz no_entry
    jmp *%eax

no_entry:
    cld
    movl $message, %esi
    movl $(message_end - message), %ecx
    movl $MEZZ_PORT_UART, %edx
    rep outsb
    movl $MEZZ_PORT_DEBUG_EXIT, %edx
    movb $STATUS, %al
    outb %al, %dx
1:  hlt
    jmp 1b

message:
    .ascii "firmware: no kernel: the entry point in the firmware table is 0\n"
message_end:

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt

    .section .reset, "ax"
    .code16
    .globl reset_vector
reset_vector:
    jmp real_mode
    .balign 16, 0
    .section .note.GNU-stack, "", @progbits
