/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/ept.h"

#include <stddef.h>

#include "lib/machine.h"

#define LEAF_FLAGS  (MEZZ_EPT_RWX | MEZZ_EPT_WRITE_BACK)
#define LARGE_FLAGS (LEAF_FLAGS | MEZZ_EPT_LEAF)

static unsigned int table_index(uint64_t l2, unsigned int level)
{
    return (unsigned int)(l2 >> (12 + 9 * level)) % MEZZ_EPT_ENTRIES;
}

/* Two instructions an entry. */
static void fill(uint64_t *entries, uint64_t first, uint64_t step, uint64_t count)
{
    for (; count % 8; count--, first += step)
        *entries++ = first;
    for (count /= 8; count; count--)
        __asm__ volatile(".rept 8\n\tstosq\n\taddq %[step], %%rax\n\t.endr"
                         : "+D"(entries), "+a"(first)
                         : [step] "r"(step)
                         : "memory", "cc");
}

bool ept_init(struct ept *ept, struct arena *arena)
{
    ept->arena = arena;
    ept->root = arena_take(arena, MEZZ_PAGE_SIZE, MEZZ_PAGE_SIZE);
    return ept->root != 0;
}

/* The entry for an L2 address at a level (0: 4 KiB leaves); tables above it are made. */
static uint64_t *entry_at(struct ept *ept, uint64_t l2, unsigned int level)
{
    uint64_t table = ept->root;

    for (unsigned int above = MEZZ_EPT_LEVELS - 1; above > level; above--) {
        uint64_t *entry = (uint64_t *)pointer_at(table) + table_index(l2, above);

        if (!(*entry & MEZZ_EPT_RWX)) {
            uint64_t made = arena_take(ept->arena, MEZZ_PAGE_SIZE, MEZZ_PAGE_SIZE);

            if (!made)
                return NULL;
            *entry = made | MEZZ_EPT_RWX;
        }
        table = *entry & MEZZ_EPT_ADDRESS;
    }
    return (uint64_t *)pointer_at(table) + table_index(l2, level);
}

/* How much of size one table of a level holds from address on. */
static uint64_t within_table(uint64_t address, uint64_t size, uint64_t table_span)
{
    uint64_t rest = table_span - (address & (table_span - 1));

    return size < rest ? size : rest;
}

bool ept_map(struct ept *ept, uint64_t l2, uint64_t l1, uint64_t size)
{
    while (size) {
        bool large = !((l2 | l1) & (EPT_LARGE_SIZE - 1)) && size >= EPT_LARGE_SIZE;
        unsigned int level = large ? 1 : 0;
        uint64_t page = large ? EPT_LARGE_SIZE : MEZZ_PAGE_SIZE;
        uint64_t part = within_table(l2, size & ~(page - 1), page * MEZZ_EPT_ENTRIES);
        uint64_t *entry = entry_at(ept, l2, level);

        if (!entry)
            return false;
        fill(entry, l1 | (large ? LARGE_FLAGS : LEAF_FLAGS), page, part / page);
        l2 += part;
        l1 += part;
        size -= part;
    }
    return true;
}

static bool split(struct ept *ept, uint64_t *entry)
{
    uint64_t table = arena_take(ept->arena, MEZZ_PAGE_SIZE, MEZZ_PAGE_SIZE);

    if (!table)
        return false;
    fill(pointer_at(table), *entry & ~MEZZ_EPT_LEAF, MEZZ_PAGE_SIZE, MEZZ_EPT_ENTRIES);
    *entry = table | MEZZ_EPT_RWX;
    return true;
}

bool ept_set_page(struct ept *ept, uint64_t l2, uint64_t entry)
{
    uint64_t *at = entry_at(ept, l2, 1);

    if (!at || (*at & MEZZ_EPT_LEAF && !split(ept, at)))
        return false;
    at = entry_at(ept, l2, 0);
    if (!at)
        return false;
    *at = entry;
    return true;
}

uint64_t ept_page(const struct ept *ept, uint64_t l2)
{
    uint64_t entry = ept->root;

    for (unsigned int level = MEZZ_EPT_LEVELS; level-- > 0;) {
        const uint64_t *table = pointer_at(entry & MEZZ_EPT_ADDRESS);

        entry = table[table_index(l2, level)];
        if (!(entry & MEZZ_EPT_RWX))
            return 0;
        if (level == 1 && entry & MEZZ_EPT_LEAF)
            return (entry & ~MEZZ_EPT_LEAF) + (l2 & (EPT_LARGE_SIZE - 1) & MEZZ_EPT_ADDRESS);
    }
    return entry;
}
