/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/exits/kept_walks.h"

#include <errno.h>
#include <string.h>

#include "host/hot.h"

/* A walk that is being made. */
struct maker {
    const struct walked_memory *memory;
    struct kept_walk *walk;
    bool keeps;
};

static int read_entry(void *context, l2_address address, void *to, size_t length)
{
    struct maker *maker = context;
    struct kept_walk *walk = maker->walk;
    const uint64_t *at = maker->memory->pointer(maker->memory->context, address, length);

    if (at == NULL)
        return -EFAULT;
    if (length != sizeof(*at) || walk->entries == KEPT_WALK_ENTRIES) {
        maker->keeps = false;
        memcpy(to, at, length);
        return 0;
    }
    /* Read once: what is kept is what the walk went by. */
    walk->at[walk->entries] = at;
    walk->entry[walk->entries] = __atomic_load_n(at, __ATOMIC_RELAXED);
    memcpy(to, &walk->entry[walk->entries++], length);
    return 0;
}

/* One that is not kept: it is made, and kept if it can be. */
COLD static int make(struct kept_walk *walk, const struct walked_memory *memory,
                     const struct guest_paging *paging, uint64_t linear, unsigned int access,
                     struct guest_translation *translation, struct guest_fault *fault)
{
    struct maker maker = {memory, walk, true};
    const struct guest_reader reader = {read_entry, &maker};
    int code;

    walk->entries = 0;
    walk->of = memory->of;
    walk->version = memory->version;
    walk->paging = *paging;
    walk->page = linear & ~(PAGE_SIZE - 1);
    walk->access = access;
    code = guest_walk(translation, paging, linear, access, &reader, fault);
    if (code != 0 || !maker.keeps) {
        walk->entries = 0;
        return code;
    }
    /* All of them are compared. */
    for (unsigned int i = walk->entries; i < KEPT_WALK_ENTRIES && i > 0; i++) {
        walk->at[i] = walk->at[0];
        walk->entry[i] = walk->entry[0];
    }
    walk->translation = *translation;
    walk->translation.address.value -= linear - walk->page;
    return 0;
}

HOT int kept_walk(struct kept_walks *kept, const struct walked_memory *memory,
                  struct guest_translation *translation, const struct guest_paging *paging,
                  uint64_t linear, unsigned int access, struct guest_fault *fault)
{
    const uint64_t page = linear & ~(PAGE_SIZE - 1);
    const struct kept_walk *walk =
        kept_walk_find(kept, memory->of, memory->version, paging, paging->cr3, page, access);

    if (walk == NULL)
        return make(&kept->walk[kept_walk_place(page, access)], memory, paging, linear, access,
                    translation, fault);
    *translation = walk->translation;
    translation->address.value += linear - page;
    return 0;
}
