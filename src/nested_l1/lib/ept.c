/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/ept.h"

#include <stddef.h>

#include "lib/machine.h"

#define PAGE_SHIFT  12
#define LARGE_SHIFT 21

static unsigned int table_index(uint64_t l2, unsigned int level)
{
    return (unsigned int)(l2 >> (12 + 9 * level)) % MEZZ_EPT_ENTRIES;
}

/* Two instructions an entry, mostly: this is the longest loop of L1's start. */
static void fill(uint64_t *entries, uint64_t first, uint64_t step, uint64_t count)
{
    for (uint64_t blocks = count / 16; blocks; blocks--)
        __asm__ volatile(".rept 16\n\tstosq\n\taddq %[step], %%rax\n\t.endr"
                         : "+D"(entries), "+a"(first)
                         : [step] "r"(step)
                         : "memory", "cc");
    for (count %= 16; count; count--, first += step)
        *entries++ = first;
}

bool ept_init(struct ept *ept, struct arena *arena)
{
    ept->arena = arena;
    ept->root = arena_take(arena, MEZZ_PAGE_SIZE, MEZZ_PAGE_SIZE);
    return ept->root != 0;
}

/* The table that holds an L2 address's entry at a level (0: 4 KiB leaves). It and those above it
 * are made. NULL: the arena is empty. */
static uint64_t *table_of(struct ept *ept, uint64_t l2, unsigned int level)
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
    return pointer_at(table);
}

static bool look_up(struct ept *ept, uint64_t l2, unsigned int page_shift)
{
    uint64_t span = 1ULL << (page_shift + 9);

    if (ept->table_span == span && l2 - ept->table_start < span)
        return true;
    ept->table = table_of(ept, l2, page_shift == LARGE_SHIFT);
    ept->table_start = l2 & ~(span - 1);
    ept->table_span = ept->table ? span : 0;
    return ept->table;
}

bool ept_map(struct ept *ept, uint64_t l2, uint64_t l1, uint64_t size, uint64_t flags)
{
    while (size) {
        bool large = !((l2 | l1) & (EPT_LARGE_SIZE - 1)) && size >= EPT_LARGE_SIZE &&
                     !(flags & MEZZ_EPT_COPY_ON_WRITE);
        unsigned int shift = large ? LARGE_SHIFT : PAGE_SHIFT;
        uint64_t index, count, rest;

        if (!look_up(ept, l2, shift))
            return false;
        index = (l2 - ept->table_start) >> shift;
        count = size >> shift;
        rest = MEZZ_EPT_ENTRIES - index;
        if (count > rest)
            count = rest;
        fill(ept->table + index, l1 | flags | (large ? MEZZ_EPT_LEAF : 0), 1ULL << shift, count);
        l2 += count << shift;
        l1 += count << shift;
        size -= count << shift;
    }
    return true;
}

/* The copy's address, or 0. level: 0 has leaves of 4 KiB. */
static uint64_t copy_table(struct arena *arena, uint64_t table, unsigned int level)
{
    uint64_t made = arena_take(arena, MEZZ_PAGE_SIZE, MEZZ_PAGE_SIZE);
    const uint64_t *from = pointer_at(table);
    uint64_t *to = pointer_at(made);

    for (unsigned int i = 0; made && i < MEZZ_EPT_ENTRIES; i++) {
        to[i] = from[i];
        if (!level || !(from[i] & MEZZ_EPT_RWX) || from[i] & MEZZ_EPT_LEAF)
            continue;
        to[i] = copy_table(arena, from[i] & MEZZ_EPT_ADDRESS, level - 1);
        if (!to[i])
            return 0;
        to[i] |= from[i] & ~MEZZ_EPT_ADDRESS;
    }
    return made;
}

bool ept_copy(struct ept *ept, const struct ept *from)
{
    struct arena *arena = from->arena;

    *ept = (struct ept){.arena = arena, .root = copy_table(arena, from->root, MEZZ_EPT_LEVELS - 1)};
    return ept->root != 0;
}

static bool split(struct ept *ept, uint64_t *large)
{
    uint64_t made = arena_take(ept->arena, MEZZ_PAGE_SIZE, MEZZ_PAGE_SIZE);

    if (!made)
        return false;
    fill(pointer_at(made), *large & ~MEZZ_EPT_LEAF, MEZZ_PAGE_SIZE, MEZZ_EPT_ENTRIES);
    *large = made | MEZZ_EPT_RWX;
    return true;
}

bool ept_set_page(struct ept *ept, uint64_t l2, uint64_t leaf)
{
    uint64_t *large = table_of(ept, l2, 1);
    uint64_t *table;

    if (!large)
        return false;
    large += table_index(l2, 1);
    if (*large & MEZZ_EPT_LEAF && !split(ept, large))
        return false;
    table = table_of(ept, l2, 0);
    if (!table)
        return false;
    table[table_index(l2, 0)] = leaf;
    return true;
}

uint64_t *ept_leaf(const struct ept *ept, uint64_t l2)
{
    uint64_t table = ept->root;

    for (unsigned int level = MEZZ_EPT_LEVELS; level-- > 0;) {
        uint64_t *entry = (uint64_t *)pointer_at(table) + table_index(l2, level);

        if (!(*entry & MEZZ_EPT_RWX))
            break;
        if (!level || *entry & MEZZ_EPT_LEAF)
            return entry;
        table = *entry & MEZZ_EPT_ADDRESS;
    }
    return NULL;
}

uint64_t ept_dirty_bytes(const struct ept *ept, uint64_t size)
{
    uint64_t dirty = 0;
    uint64_t step;

    for (uint64_t l2 = 0; l2 < size; l2 += step) {
        const uint64_t *leaf = ept_leaf(ept, l2);

        step = leaf && *leaf & MEZZ_EPT_LEAF ? EPT_LARGE_SIZE : MEZZ_PAGE_SIZE;
        if (leaf && *leaf & MEZZ_EPT_DIRTY)
            dirty += step;
    }
    return dirty;
}
