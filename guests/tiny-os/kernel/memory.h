/* SPDX-License-Identifier: Apache-2.0 */
/* Physical pages, address spaces, and ring 3's memory as the kernel may touch it. */
#ifndef TINY_KERNEL_MEMORY_H
#define TINY_KERNEL_MEMORY_H

#include "kernel/image.h"
#include "mezz/pvh.h"

#define PAGE_SIZE 4096ul

static inline uint64_t page_down(uint64_t address)
{
    return address & ~(PAGE_SIZE - 1);
}

static inline uint64_t page_up(uint64_t address)
{
    return page_down(address + PAGE_SIZE - 1);
}

/* Physical memory that the machine's maker handed over, or NULL if it is not below 4 GiB. */
void *physical(uint64_t paddr, uint64_t size);

/* [paddr, paddr + size) holds something that must stay. Before memory_init. */
void memory_reserve(uint64_t paddr, uint64_t size);

/*
 * Takes the largest free range of RAM between 1 MiB and 4 GiB. It is never cleared: memory that
 * nothing was loaded to is zero when a machine starts, and no page is ever used twice.
 */
void memory_init(const struct mezz_pvh_memory *map, unsigned n);

uint64_t memory_pages_left(void);

/* A zero page to use right away, or NULL if there is none. */
void *page_for_kernel(void);

/* Physical address of a zero page; only after memory_pages_left said that there is one. */
uint64_t page_allocate(void);

/* An address space with nothing but the kernel in it. */
struct space {
    uint64_t pml4; /* physical */
    uint64_t *pd;  /* of the first GiB, all that ring 3 has */
};

void space_create(struct space *space);

/* How many pages image_map takes at most. */
uint64_t plan_pages(const struct plan *plan);

/* Maps what image_plan accepted: read-only pages in place if the file allows, others as copies. */
void space_map_plan(struct space *space, const struct plan *plan, const struct image *image);

/* A zero page at vaddr that ring 3 may write; its physical address. */
uint64_t space_map_zero(struct space *space, uint64_t vaddr);

/* The entry for vaddr, with a new page table if there is none; NULL without memory for one, and
 * where 2 MiB are mapped at once. */
uint64_t *space_entry(uint64_t pml4, uint64_t vaddr);

/* The entry for the 2 MiB that vaddr is in. */
uint64_t *space_large_entry(uint64_t pml4, uint64_t vaddr);

/* A page of no memory that ring 3 may write to. */
void space_map_device(struct space *space, uint64_t vaddr, uint64_t paddr);

/* The page table for the 2 MiB around vaddr is that of another space. */
void space_share_table(struct space *space, const struct space *from, uint64_t vaddr);

/*
 * The current process's memory: checked against the range for ring 3, and against its mappings by
 * touching them. 0 or -TINY_EFAULT; part of the bytes may have been copied then.
 */
int64_t copy_from_user(void *to, uint64_t from, uint64_t n);
int64_t copy_to_user(uint64_t to, const void *from, uint64_t n);

#endif
