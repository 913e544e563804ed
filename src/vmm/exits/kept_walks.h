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

/* As guest_walk(). */
int kept_walk(struct kept_walks *kept, const struct walked_memory *memory,
              struct guest_translation *translation, const struct guest_paging *paging,
              uint64_t linear, unsigned int access, struct guest_fault *fault);

#endif
