/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_KEPT_WALKS_H
#define VMM_KEPT_WALKS_H

#include <stdbool.h>

#include "vmm/exits/guest_walk.h"

/*
 * Walks that need not be made again. With each the entries that it read are kept, and where they
 * are in the root's memory: as long as they are what they were, the same walk comes to the same.
 * What fails is not kept. Accessed and dirty flags do not count.
 */
#define KEPT_WALKS        16U
#define KEPT_WALK_ENTRIES 4U

/* The memory that is walked. */
struct walked_memory {
    /* The root's pointer to what lies within one page, or NULL. */
    const void *(*pointer)(void *context, l2_address address, size_t length);
    void *context;
    /* Pointers are good as long as both are the same. */
    uint64_t of;
    uint64_t version;
};

struct kept_walk {
    uint64_t of;
    uint64_t version;
    struct guest_paging paging;
    uint64_t page; /* linear */
    unsigned int access;
    unsigned int entries; /* 0: nothing is kept here */
    const uint64_t *at[KEPT_WALK_ENTRIES];
    uint64_t entry[KEPT_WALK_ENTRIES];
    struct guest_translation translation; /* of the page's first byte */
};

struct kept_walks {
    struct kept_walk walk[KEPT_WALKS];
};

/* By all bits of the page's number: sections and stacks begin at round addresses, and are not to
 * take each other's place. */
static inline size_t kept_walk_place(uint64_t page, unsigned int access)
{
    return (page / PAGE_SIZE * 0x9e3779b97f4a7c15 >> 60 ^ access) % KEPT_WALKS;
}

#define KEPT_WALK_NOTES (3ULL << 5)  /* accessed, dirty: the processor's */
#define KEPT_WALK_AC    (1ULL << 18) /* of RFLAGS a walk looks at nothing else */

static inline uint64_t kept_walk_paging(const struct guest_paging *a, const struct guest_paging *b)
{
    return (a->cr0 ^ b->cr0) | (a->cr4 ^ b->cr4) | (a->efer ^ b->efer) |
           ((a->rflags ^ b->rflags) & KEPT_WALK_AC) | (a->physical_bits ^ b->physical_bits);
}

_Static_assert(KEPT_WALK_ENTRIES == 4, "kept_walk_find");

static inline uint64_t kept_walk_differs(const struct kept_walk *walk, unsigned int i)
{
    return walk->entry[i] ^ __atomic_load_n(walk->at[i], __ATOMIC_RELAXED);
}

/* The walk to the page if it is kept, or NULL. cr3 counts, and not what `paging` says of it. */
static inline __attribute__((always_inline)) const struct kept_walk *
kept_walk_find(const struct kept_walks *kept, uint64_t of, uint64_t version,
               const struct guest_paging *paging, uint64_t cr3, uint64_t page, unsigned int access)
{
    const struct kept_walk *walk = &kept->walk[kept_walk_place(page, access)];
    uint64_t changed;

    if (((walk->page ^ page) | (walk->of ^ of) | (walk->version ^ version) |
         (walk->paging.cr3 ^ cr3) | kept_walk_paging(&walk->paging, paging)) != 0 ||
        walk->access != access || walk->entries == 0)
        return NULL;
    changed = kept_walk_differs(walk, 0) | kept_walk_differs(walk, 1) | kept_walk_differs(walk, 2) |
              kept_walk_differs(walk, 3);
    return (changed & ~KEPT_WALK_NOTES) == 0 ? walk : NULL;
}

/* As guest_walk(). */
int kept_walk(struct kept_walks *kept, const struct walked_memory *memory,
              struct guest_translation *translation, const struct guest_paging *paging,
              uint64_t linear, unsigned int access, struct guest_fault *fault);

#endif
