/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "host/hot.h"
#include "vmm/protect/hooks/policy_state.h"
#include "vmm/vmcs/x86.h"

#define ENTRIES       512U
#define LEVELS        4U
#define TABLES_LIMIT  4096U
#define UPPER_LIMIT   64U /* more take longer than what is saved */
#define CR4_LA57      (1ULL << 12)
#define ENTRY_PRESENT (1ULL << 0)
#define ENTRY_USER    (1ULL << 2)
#define ENTRY_LARGE   (1ULL << 7)
#define ENTRY_NX      (1ULL << 63)
#define ENTRY_ADDRESS 0x000ffffffffff000ULL

struct visit {
    const struct guest_memory *memory;
    int (*function)(void *argument, uint64_t frame, bool user);
    void *argument;
    unsigned int tables;
};

static int visit_pages(const struct visit *visit, uint64_t address, uint64_t length, bool user)
{
    int code = 0;

    for (uint64_t at = 0; at < length && code == 0; at += PAGE_SIZE)
        code = visit->function(visit->argument, address + at, user);
    return code;
}

static int visit_table(struct visit *visit, uint64_t table, unsigned int level, bool user)
{
    const uint64_t span = PAGE_SIZE << (9 * (level - 1));
    uint64_t entries[ENTRIES];
    int code;

    if (++visit->tables > TABLES_LIMIT)
        return -E2BIG;
    code = guest_memory_read(visit->memory, table, entries, sizeof(entries));
    for (unsigned int i = 0; i < ENTRIES && code == 0; i++) {
        uint64_t entry = entries[i];
        uint64_t address = entry & ENTRY_ADDRESS;
        bool users = user && entry & ENTRY_USER;

        if (!(entry & ENTRY_PRESENT) || entry & ENTRY_NX)
            continue;
        if (level > 1 && !(entry & ENTRY_LARGE))
            code = visit_table(visit, address, level - 1, users);
        else
            code = visit_pages(visit, address & ~(span - 1), span, users);
    }
    return code;
}

int hook_tables_executable(const struct guest_memory *memory, uint64_t cr3,
                           int (*function)(void *argument, uint64_t frame, bool user),
                           void *argument)
{
    struct visit visit = {memory, function, argument, 0};
    const struct guest_paging *paging = &memory->paging;

    if (!(paging->efer & EFER_LMA) || !(paging->cr0 & CR0_PG) || paging->cr4 & CR4_LA57)
        return -EOPNOTSUPP;
    return visit_table(&visit, guest_space(cr3), LEVELS, true);
}

int hook_tables_walk(const struct hook_way *way, uint64_t linear, uint64_t *frame, bool *runs)
{
    const uint64_t open = ENTRY_PRESENT | (way->user ? ENTRY_USER : 0);
    uint64_t table = way->cr3;
    uint64_t entry;

    *frame = HOOK_NOWHERE;
    *runs = true;
    for (unsigned int level = LEVELS; level > 0; level--) {
        const unsigned int shift = 3 + 9 * level;
        const int code =
            way->read(way->context, table + (linear >> shift & 0x1ff) * sizeof(entry), &entry);

        if (code != 0 || (entry & open) != open)
            return code;
        *runs = *runs && !(entry & ENTRY_NX);
        table = entry & ENTRY_ADDRESS;
        if (level > 1 && entry & ENTRY_LARGE) {
            table &= ~((1ULL << shift) - 1);
            table |= linear & ((1ULL << shift) - 1) & ENTRY_ADDRESS;
            break;
        }
    }
    *frame = table;
    return 0;
}

/* --- where tables lie --- */

#define TOGETHER 8U

struct upper {
    struct hook_policy *guard;
    unsigned int tables;
};

/* Most of them are 0, or large pages. */
static inline bool may_lead_to_tables(const uint64_t *entries, unsigned int level)
{
    const uint64_t any = entries[0] | entries[1] | entries[2] | entries[3] | entries[4] |
                         entries[5] | entries[6] | entries[7];

    if (!(any & ENTRY_PRESENT))
        return false;
    return level == LEVELS || !(entries[0] & entries[1] & entries[2] & entries[3] & entries[4] &
                                entries[5] & entries[6] & entries[7] & ENTRY_LARGE);
}

static bool is_apart(struct upper *upper, uint64_t table, unsigned int level);

HOT static bool are_apart(struct upper *upper, const uint64_t *entries, unsigned int level)
{
    bool apart = true;

    for (unsigned int i = 0; i < TOGETHER && apart; i++) {
        const uint64_t entry = __atomic_load_n(&entries[i], __ATOMIC_RELAXED);

        if (!(entry & ENTRY_PRESENT) || (level < LEVELS && entry & ENTRY_LARGE))
            continue;
        apart = level > 2 ? is_apart(upper, entry & ENTRY_ADDRESS, level - 1)
                          : !hook_is_closed(upper->guard->hooks, entry & ENTRY_ADDRESS);
    }
    return apart;
}

HOT static bool is_apart(struct upper *upper, uint64_t table, unsigned int level)
{
    const uint64_t *entries;
    bool apart;

    if (hook_is_closed(upper->guard->hooks, table) || ++upper->tables > UPPER_LIMIT)
        return false;
    entries = guest_memory_at(&upper->guard->memory, table);
    apart = entries != NULL;
    for (unsigned int i = 0; i < ENTRIES && apart; i += TOGETHER)
        if (may_lead_to_tables(&entries[i], level))
            apart = are_apart(upper, &entries[i], level);
    return apart;
}

HOT bool hook_tables_apart(struct hook_policy *guard, uint64_t cr3)
{
    const struct guest_paging *paging = &guard->memory.paging;
    struct upper upper = {guard, 0};

    return paging->efer & EFER_LMA && paging->cr0 & CR0_PG && !(paging->cr4 & CR4_LA57) &&
           is_apart(&upper, guest_space(cr3), LEVELS);
}
