/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_SLOT_SET_H
#define VIEWS_SLOT_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "host/kvm.h"
#include "views/ept12.h"

/*
 * The memory slots of one VM, kept equal to a table of extents:
 *
 *   RWX      an ordinary slot
 *   R-X      a read-only slot
 *   RW-, R-- no slot: each data access exits, and the root serves it (space.h)
 *   absent   no slot
 *
 * No vCPU of the VM may run meanwhile: between the deletion of a slot and the creation of those in
 * its place the guest has a hole.
 */
struct slot_set {
    const struct kvm_vm *vm;
    uint32_t write_flags;      /* of ordinary slots: 0 or KVM_MEM_LOG_DIRTY_PAGES */
    uint32_t first;            /* what KVM adds to its slot numbers: those of another side */
    struct extent_table built; /* what the slots are */
    uint32_t *slot;            /* of each extent of `built`, or SLOT_NONE */
    uint64_t *address;         /* guest-physical, of each slot number in use */
    uint32_t *free_slot;       /* a stack */
    uint32_t free_count;
    uint32_t used; /* slot numbers below were used at least once */
    uint32_t capacity;
    /* Whether what runs is over; NULL: never. Slots take up to a millisecond each on a busy host,
     * so it is asked on the way: -EINTR then, and the slots are good for nothing but to be cleared.
     */
    bool (*over)(void *context);
    void *context;
    uint32_t limit;
    uint64_t made; /* slots that were created, and deleted */
};

#define SLOT_NONE UINT32_MAX

/* `reserved` slot numbers from the host's limit down are left to the caller. */
void slot_set_init(struct slot_set *set, const struct kvm_vm *vm, uint32_t write_flags,
                   uint32_t reserved);
void slot_set_destroy(struct slot_set *set);

/* Alters just the slots that differ. The extents' L1 addresses count from `host`. A negative errno
 * leaves the slots as they were; if even that cannot be had, none, and `built` is empty. */
int slot_set_apply(struct slot_set *set, const struct extent_table *to, uint8_t *host);

/* Deletes all slots. */
void slot_set_clear(struct slot_set *set);

/* Whether KVM has memory for these rights. */
static inline bool rights_have_slot(uint32_t rights)
{
    return (rights & (MEZZ_EPT_READ | MEZZ_EPT_EXECUTE)) == (MEZZ_EPT_READ | MEZZ_EPT_EXECUTE);
}

#endif
