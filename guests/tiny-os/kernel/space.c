/* SPDX-License-Identifier: Apache-2.0 */
/* Address spaces of ring 3. */
#include "abi/calls.h"
#include "kernel/layout.h"
#include "kernel/memory.h"
#include "kernel/trap.h"

#include <string.h>

#define PTE_TABLE      0x067 /* present, writable, user, accessed, dirty */
#define PTE_USER       0x065 /* the same, read-only */
#define PTE_WRITABLE   0x002
#define PTE_LARGE      0x080
#define PTE_NX         0x8000000000000000ul
#define PTE_ADDRESS    0x000ffffffffff000ul
#define PAGES_OF_TABLE 512
#define KERNEL_SLOT    511

extern uint64_t kernel_pml4[512];

static uint64_t *page_pointer(uint64_t page)
{
    return physical(page, PAGE_SIZE);
}

void space_create(struct space *space)
{
    uint64_t pdpt = page_allocate();
    uint64_t pd = page_allocate();

    space->pml4 = page_allocate();
    uint64_t *pml4 = page_pointer(space->pml4);
    pml4[0] = pdpt | PTE_TABLE;
    pml4[KERNEL_SLOT] = kernel_pml4[KERNEL_SLOT];
    page_pointer(pdpt)[0] = pd | PTE_TABLE;
    space->pd = page_pointer(pd);
}

static void map_page(struct space *space, uint64_t vaddr, uint64_t pte)
{
    uint64_t *pde = &space->pd[vaddr >> 21];

    if (!*pde) {
        *pde = page_allocate() | PTE_TABLE;
    }
    page_pointer(*pde & PTE_ADDRESS)[vaddr / PAGE_SIZE % PAGES_OF_TABLE] = pte;
}

uint64_t plan_pages(const struct plan *plan)
{
    uint64_t pages = 0;

    for (unsigned i = 0; i < plan->n; i++) {
        const struct segment *s = &plan->segments[i];
        uint64_t n = (page_up(s->vaddr + s->memory_size) - page_down(s->vaddr)) / PAGE_SIZE;

        pages += n + n / PAGES_OF_TABLE + 2; /* with its tables */
    }
    return pages;
}

/* The page of a segment at vaddr (page-aligned) that is not in the file or not as it should be. */
static uint64_t private_page(const struct segment *s, uint64_t vaddr, const struct image *image)
{
    uint64_t page = page_allocate();
    uint64_t file_end = s->vaddr + s->file_size;
    uint64_t from = vaddr > s->vaddr ? vaddr : s->vaddr;
    uint64_t to = vaddr + PAGE_SIZE < file_end ? vaddr + PAGE_SIZE : file_end;

    if (from < to) {
        memcpy((char *)page_pointer(page) + (from - vaddr),
               image->bytes + s->file_offset + (from - s->vaddr), to - from);
    }
    return page;
}

static void map_segment(struct space *space, const struct segment *s, const struct image *image)
{
    uint64_t flags = PTE_USER | (s->writable ? PTE_WRITABLE : 0) | (s->executable ? 0 : PTE_NX);
    uint64_t file_end = s->vaddr + s->file_size;
    uint64_t file_page = image->paddr + s->file_offset - s->vaddr; /* + vaddr */
    bool sharable = !s->writable && !(image->paddr & (PAGE_SIZE - 1));

    for (uint64_t at = page_down(s->vaddr); at < s->vaddr + s->memory_size; at += PAGE_SIZE) {
        bool in_place = sharable && at >= s->vaddr && at + PAGE_SIZE <= file_end;

        map_page(space, at, (in_place ? file_page + at : private_page(s, at, image)) | flags);
    }
}

void space_map_plan(struct space *space, const struct plan *plan, const struct image *image)
{
    for (unsigned i = 0; i < plan->n; i++) {
        map_segment(space, &plan->segments[i], image);
    }
}

uint64_t space_map_zero(struct space *space, uint64_t vaddr)
{
    uint64_t page = page_allocate();

    map_page(space, vaddr, page | PTE_USER | PTE_WRITABLE | PTE_NX);
    return page;
}

void space_map_device(struct space *space, uint64_t vaddr, uint64_t paddr)
{
    map_page(space, vaddr, paddr | PTE_USER | PTE_WRITABLE | PTE_NX);
}

uint64_t *space_large_entry(uint64_t pml4, uint64_t vaddr)
{
    uint64_t *pdpt = page_pointer(page_pointer(pml4)[0] & PTE_ADDRESS);
    uint64_t *pd = page_pointer(pdpt[0] & PTE_ADDRESS);

    return &pd[vaddr >> 21];
}

uint64_t *space_entry(uint64_t pml4, uint64_t vaddr)
{
    uint64_t *pde = space_large_entry(pml4, vaddr);

    if (*pde & PTE_LARGE || (!*pde && !memory_pages_left())) {
        return NULL;
    }
    if (!*pde) {
        *pde = page_allocate() | PTE_TABLE;
    }
    return &page_pointer(*pde & PTE_ADDRESS)[vaddr / PAGE_SIZE % PAGES_OF_TABLE];
}

void space_share_table(struct space *space, const struct space *from, uint64_t vaddr)
{
    space->pd[vaddr >> 21] = from->pd[vaddr >> 21];
}

static bool in_user_range(uint64_t start, uint64_t n)
{
    return start >= TINY_USER_START && start < TINY_USER_END && n <= TINY_USER_END - start;
}

int64_t copy_from_user(void *to, uint64_t from, uint64_t n)
{
    return in_user_range(from, n) ? user_copy(to, (const void *)from, n) : -TINY_EFAULT;
}

int64_t copy_to_user(uint64_t to, const void *from, uint64_t n)
{
    return in_user_range(to, n) ? user_copy((void *)to, from, n) : -TINY_EFAULT;
}
