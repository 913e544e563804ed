/* SPDX-License-Identifier: Apache-2.0 */
/* Which physical memory there is, and pages of it. */
#include "kernel/memory.h"

#include "kernel/console.h"
#include "kernel/layout.h"

#include <stddef.h>

#define LOW_MEMORY   0x100000ul /* below: the firmware's, and usually the start info */
#define GIB          0x40000000ul
#define LARGE_PAGE   0x200000ul
#define RESERVED_MAX (2 * IMAGE_MAX + 8)

#define PTE_RW       0x063 /* kernel, accessed, dirty */
#define PTE_LARGE    0x080
#define PTE_NX       0x8000000000000000ul

struct range {
    uint64_t start, end;
};

static struct range reserved[RESERVED_MAX];
static unsigned n_reserved;
static struct range pool;

extern uint64_t kernel_pdpt[512];
extern const char kernel_end[];

/* Beyond the first GiB, which is in the image's tables, the direct map grows when it is needed. */
static void direct_map_add(uint64_t start, uint64_t end)
{
    static uint64_t directories[3][512] __attribute__((aligned(4096)));

    for (uint64_t at = start & ~(LARGE_PAGE - 1); at < end; at += LARGE_PAGE) {
        uint64_t gib = at / GIB;
        uint64_t *directory = directories[gib - 1];

        kernel_pdpt[gib] = ((uint64_t)directory - KERNEL_BASE) | PTE_RW;
        directory[at / LARGE_PAGE % 512] = at | PTE_RW | PTE_LARGE | PTE_NX;
    }
}

void *physical(uint64_t paddr, uint64_t size)
{
    if (paddr >= DIRECT_LIMIT || size > DIRECT_LIMIT - paddr) {
        return NULL;
    }
    if (paddr + size > GIB) {
        direct_map_add(paddr < GIB ? GIB : paddr, paddr + size);
    }
    return (void *)(DIRECT_BASE + paddr);
}

void memory_reserve(uint64_t paddr, uint64_t size)
{
    if (!size || paddr + size <= LOW_MEMORY) {
        return;
    }
    if (n_reserved == RESERVED_MAX) {
        panic("too many modules", NULL);
    }
    reserved[n_reserved++] = (struct range){page_down(paddr), page_up(paddr + size)};
}

/* The largest free range in RAM that starts at RAM's start or where something reserved ends. */
static void consider(struct range free)
{
    for (unsigned i = 0; i < n_reserved; i++) {
        const struct range *r = &reserved[i];

        if (r->start <= free.start && free.start < r->end) {
            return;
        }
        if (r->start > free.start && r->start < free.end) {
            free.end = r->start;
        }
    }
    if (free.end - free.start > pool.end - pool.start) {
        pool = free;
    }
}

void memory_init(const struct mezz_pvh_memory *map, unsigned n)
{
    memory_reserve(KERNEL_RODATA, (uint64_t)kernel_end - KERNEL_BASE - KERNEL_RODATA);
    for (; n; n--, map++) {
        if (map->type != MEZZ_PVH_MEMORY_RAM || map->addr >= DIRECT_LIMIT) {
            continue;
        }
        uint64_t room = DIRECT_LIMIT - map->addr;
        struct range ram = {page_up(map->addr),
                            page_down(map->addr + (map->size < room ? map->size : room))};
        if (ram.start < LOW_MEMORY) {
            ram.start = LOW_MEMORY;
        }
        if (ram.start >= ram.end) {
            continue;
        }
        consider(ram);
        for (unsigned i = 0; i < n_reserved; i++) {
            if (reserved[i].end > ram.start && reserved[i].end < ram.end) {
                consider((struct range){reserved[i].end, ram.end});
            }
        }
    }
}

uint64_t memory_pages_left(void)
{
    return (pool.end - pool.start) / PAGE_SIZE;
}

uint64_t page_allocate(void)
{
    uint64_t page = pool.start;

    if (!memory_pages_left()) {
        panic("out of memory", NULL);
    }
    pool.start += PAGE_SIZE;
    return page;
}

void *page_for_kernel(void)
{
    return memory_pages_left() ? physical(page_allocate(), PAGE_SIZE) : NULL;
}
