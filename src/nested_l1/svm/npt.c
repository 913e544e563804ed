/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nested page tables are page tables of long mode, walked for user accesses (APM volume 2, 15.25):
 * an EPT12 with other bits. L1 does not alter a guest's EPT12 while the guest lives.
 */
#include "lib/arena.h"
#include "lib/ept.h"
#include "lib/machine.h"
#include "mezz/ept.h"
#include "svm/svm.h"

#define PTE_PRESENT  (1ULL << 0)
#define PTE_WRITABLE (1ULL << 1)
#define PTE_USER     (1ULL << 2)
#define PTE_LARGE    (1ULL << 7)
#define PTE_NX       (1ULL << 63)

static uint64_t convert_table(struct arena *arena, uint64_t ept_table, unsigned int level);

/* 0: no memory is left. */
static uint64_t convert_entry(struct arena *arena, uint64_t entry, unsigned int level)
{
    uint64_t flags = PTE_PRESENT | PTE_USER | (entry & MEZZ_EPT_WRITE ? PTE_WRITABLE : 0);
    uint64_t table;

    if (level == 0 || entry & MEZZ_EPT_LEAF)
        return (entry & MEZZ_EPT_ADDRESS) | flags | (level ? PTE_LARGE : 0) |
               (entry & MEZZ_EPT_EXECUTE ? 0 : PTE_NX);
    table = convert_table(arena, entry & MEZZ_EPT_ADDRESS, level - 1);
    return table ? table | PTE_PRESENT | PTE_USER | PTE_WRITABLE : 0;
}

/* At most MEZZ_EPT_LEVELS deep. */
static uint64_t convert_table(struct arena *arena, uint64_t ept_table, unsigned int level)
{
    uint64_t table = arena_take(arena, MEZZ_PAGE_SIZE, MEZZ_PAGE_SIZE);
    const uint64_t *from = pointer_at(ept_table);
    uint64_t *to = pointer_at(table);

    for (unsigned int i = 0; table && i < MEZZ_EPT_ENTRIES; i++) {
        if (!(from[i] & MEZZ_EPT_READ))
            continue;
        to[i] = convert_entry(arena, from[i], level);
        if (!to[i])
            return 0;
    }
    return table;
}

uint64_t svm_make_npt(struct arena *arena, const struct ept *ept)
{
    return convert_table(arena, ept->root, MEZZ_EPT_LEVELS - 1);
}
