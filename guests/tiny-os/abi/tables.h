/* SPDX-License-Identifier: Apache-2.0 */
/* What TINY_CALL_TABLE puts elsewhere. */
#ifndef TINY_ABI_TABLES_H
#define TINY_ABI_TABLES_H

/* Tables of the processor and what they name; 0 puts back what was there. */
enum tiny_table {
    TINY_TABLE_IDT, /* (physical address): it lies there */
    TINY_TABLE_GDT,
    TINY_TABLE_TSS,
    TINY_TABLE_STACK,   /* (physical address): what page faults push ends there */
    TINY_TABLE_HANDLER, /* (address): page faults lead there */
    TINY_TABLE_PAGES,   /* (physical page, address): the page table for the 2 MiB there */
    TINY_TABLE_FIRST,   /* (physical page): CR3 */
    TINY_TABLE_TRAPS,   /* (physical address): what traps from ring 3 push ends there */
    TINY_TABLE_UPPER,   /* (physical page, address): as PAGES, and all tables are at TINY_UPPER */
    TINY_TABLE_LANDING, /* (address): a program's next page fault puts back IDT and STACK, and goes
                           on there with the registers that the kernel got */
    TINY_TABLE_COPY     /* + IDT, GDT, TSS: (buffer): the bytes of the one in use */
};

/* Where: the page of a table by the address that it is for. */
#define TINY_UPPER      0xffffa00000000000u
#define TINY_UPPER_SLOT 320 /* of the top table */

#endif
