/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PROTECT_PORTIONS_ADDRESS_SPACE_H
#define VMM_PROTECT_PORTIONS_ADDRESS_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/protect/portions/kept_space.h"

/*
 * What an address space is made of, read from its page tables at one moment: the tables themselves
 * and the pages of ring 3; and what the processor needs of the kernel's to deliver an event. 64-bit
 * paging with 4 levels only.
 */
enum space_page_kind {
    SPACE_TABLE = 1U << 0,   /* a page table */
    SPACE_DATA = 1U << 1,    /* ring 3 may use it, and not execute it */
    SPACE_CODE = 1U << 2,    /* ring 3 may execute it */
    SPACE_HANDLER = 1U << 3, /* the kernel's first instruction after an event lies here */
    SPACE_TWICE = 1U << 4,   /* ring 3 has it at more than one address */
    SPACE_EVENT = 1U << 5,   /* an event's delivery reads or writes it: IDT, GDT, TSS, stacks */
    SPACE_MIXED = 1U << 6    /* ... the same bytes as two of these */
};

struct space_page {
    uint64_t frame;
    uint32_t kinds; /* enum space_page_kind together: a frame may be mapped more than once */
};

#define SPACE_PAGES_LIMIT  16384U
#define SPACE_TABLES_LIMIT 2048U

/* By frame, each once, after address_space_read. Zeroed: empty. */
struct address_space {
    struct space_page *page;
    size_t count;
    size_t capacity;
    size_t tables;
};

/* The memory has to be looked at with the vCPU whose descriptor tables count. What it was read from
 * is noted in `kept`, unless that is NULL. 0; -EFAULT: the tables, or what an event needs, cannot
 * be read; -E2BIG: more pages than the limits; -EOPNOTSUPP: no 64-bit paging; -ENOMEM. */
int address_space_read(struct address_space *space, const struct guest_memory *memory, uint64_t cr3,
                       struct kept_space *kept);
/* For who reads a part of it: one more page, or one more use of it. -E2BIG; -ENOMEM. */
int address_space_add(struct address_space *space, uint64_t frame, uint32_t kinds);
void address_space_destroy(struct address_space *space);

/* 0: the frame is none of its. */
uint32_t address_space_kinds(const struct address_space *space, uint64_t frame);

/* How often ring 3 has the frame, and where first; `at`: whether this is one of the addresses. */
struct space_mappings {
    size_t count;
    uint64_t first;
    bool at;
};
int address_space_find(const struct guest_memory *memory, uint64_t cr3, uint64_t frame, uint64_t at,
                       struct space_mappings *mappings);

#endif
