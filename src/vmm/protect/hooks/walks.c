/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an address space leads to the guard's pages by the same entries as when they were noted:
 * then each page is where it was, and it takes no walk for each of them to say so. */
#include <errno.h>
#include <stdlib.h>

#include "host/hot.h"
#include "vmm/protect/hooks/policy_state.h"
#include "vmm/vmcs/x86.h"

#define CR4_LA57 (1ULL << 12)

#define ENTRIES  (HOOK_PAGES_LIMIT + 64U)

struct hook_walks {
    uint64_t cr3;
    uint64_t eptp;
    uint64_t changes; /* space_changes(): where the entries lie */
    uint64_t version; /* of which frames may not have tables */
    struct guest_paging paging;
    size_t entries; /* 0: nothing is noted */
    struct hook_noted noted[ENTRIES];
    uint64_t at[ENTRIES]; /* L2-physical, of each */
};

void hook_walks_destroy(struct hook_policy *guard)
{
    for (size_t i = 0; i < HOOK_VIEWS; i++)
        free(guard->walks[i]);
}

static const uint64_t *find_noted(const struct hook_walks *walks, uint64_t at)
{
    for (size_t i = 0; i < walks->entries; i++)
        if (walks->at[i] == at)
            return &walks->noted[i].entry;
    return NULL;
}

static int add(struct hook_walks *walks, const uint64_t *memory, uint64_t at, uint64_t entry)
{
    if (walks->entries == ENTRIES)
        return -ENOSPC;
    walks->at[walks->entries] = at;
    walks->noted[walks->entries++] = (struct hook_noted){memory, entry};
    return 0;
}

/* One that is being noted. */
struct walks_look {
    const struct guest_memory *memory;
    struct hook_walks *walks;
};

/* Notes an entry, read once: other vCPUs may alter it meanwhile. */
static int note_entry(void *context, uint64_t at, uint64_t *entry)
{
    const struct walks_look *look = context;
    const struct guest_memory *memory = look->memory;
    struct hook_walks *walks = look->walks;
    const uint64_t *noted = find_noted(walks, at);
    const uint64_t *there;

    if (noted != NULL) {
        *entry = *noted;
        return 0;
    }
    if (memory->barred != NULL && memory->barred(memory->owner, at & ~(PAGE_SIZE - 1)))
        return -EACCES;
    there = guest_memory_at(memory, at);
    if (there == NULL)
        return -EFAULT;
    *entry = __atomic_load_n(there, __ATOMIC_RELAXED);
    return add(walks, there, at, *entry);
}

static bool note_all(struct hook_policy *guard, struct hook_walks *walks, const uint64_t *frames)
{
    const struct hook_plan *plan = guard->config->plan;
    struct walks_look look = {&guard->memory, walks};
    const struct hook_way way = {note_entry, &look, walks->cr3, true};
    uint64_t frame;
    bool runs;

    for (size_t i = 0; i < plan->pages; i++)
        if (hook_tables_walk(&way, plan->page[i].linear, &frame, &runs) != 0 || frame != frames[i])
            return false;
    return hook_tables_walk(&way, plan->stack - PAGE_SIZE, &frame, &runs) == 0 &&
           frame == HOOK_NOWHERE;
}

COLD void hook_walks_note(struct hook_policy *guard, unsigned int number, uint64_t cr3,
                          const uint64_t *frames)
{
    const struct guest_paging *paging = &guard->memory.paging;
    struct hook_walks *walks = guard->walks[number];

    if (walks == NULL)
        walks = guard->walks[number] = malloc(sizeof(*walks));
    if (walks == NULL)
        return;
    walks->cr3 = cr3;
    walks->eptp = guard->memory.vcpu->place.eptp;
    walks->changes = space_changes(guard->l2->space);
    walks->version = hook_version(guard->hooks, 0);
    walks->paging = *paging;
    walks->entries = 0;
    if (!(paging->efer & EFER_LMA) || !(paging->cr0 & CR0_PG) || paging->cr4 & CR4_LA57 ||
        !note_all(guard, walks, frames))
        walks->entries = 0;
}

HOT bool hook_walks_same(const struct hook_policy *guard, unsigned int number, uint64_t cr3)
{
    const struct guest_paging *paging = &guard->memory.paging;
    const struct hook_walks *walks = guard->walks[number];

    /* Of what else a walk looks at, a read by ring 3 depends on nothing. */
    if (walks == NULL || walks->entries == 0 || walks->cr3 != cr3 ||
        walks->eptp != guard->memory.vcpu->place.eptp ||
        walks->changes != space_changes(guard->l2->space) ||
        walks->version != hook_version(guard->hooks, 0) ||
        (paging->cr0 ^ walks->paging.cr0) & CR0_PG || paging->cr4 != walks->paging.cr4 ||
        paging->efer != walks->paging.efer)
        return false;
    return hook_noted_same(walks->noted, walks->entries);
}
