/* SPDX-License-Identifier: Apache-2.0 */
#include "views/slot_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_SLOTS 32 /* what every KVM has */

void slot_set_init(struct slot_set *set, const struct kvm_vm *vm, uint32_t write_flags,
                   uint32_t reserved)
{
    int limit = kvm_extension(vm->kvm, KVM_CAP_NR_MEMSLOTS);

    *set = (struct slot_set){.vm = vm, .write_flags = write_flags};
    set->limit = (limit > LEAST_SLOTS ? (uint32_t)limit : LEAST_SLOTS) - reserved;
}

void slot_set_destroy(struct slot_set *set)
{
    extent_table_destroy(&set->built);
    free(set->slot);
    free(set->address);
    free(set->free_slot);
}

static bool same(const struct extent *a, const struct extent *b)
{
    return a->l2.value == b->l2.value && a->l1.value == b->l1.value && a->length == b->length &&
           a->rights == b->rights;
}

static int delete_slot(struct slot_set *set, uint32_t slot)
{
    set->free_slot[set->free_count++] = slot;
    set->made++;
    return kvm_vm_set_slot(set->vm, set->first + slot, 0, 0, NULL, 0);
}

static int create_slot(struct slot_set *set, const struct extent *extent, uint8_t *host,
                       uint32_t *slot)
{
    uint32_t flags = extent->rights & MEZZ_EPT_WRITE ? set->write_flags : KVM_MEM_READONLY;
    uint32_t number;
    int code;

    if (set->free_count > 0)
        number = set->free_slot[set->free_count - 1];
    else if (set->used < set->limit)
        number = set->used;
    else
        return -ENOSPC;
    code = kvm_vm_set_slot(set->vm, set->first + number, extent->l2.value, extent->length,
                           host + extent->l1.value, flags);
    if (code != 0)
        return code;
    if (number == set->used)
        set->used++;
    else
        set->free_count--;
    set->address[number] = extent->l2.value;
    set->made++;
    *slot = number;
    return 0;
}

static bool is_over(const struct slot_set *set)
{
    return set->over != NULL && set->over(set->context);
}

/* Carries the slots of extents that stay over to `slot` and deletes the others, so that the new
 * ones, which may overlap them, can be made. */
static int keep_or_delete(struct slot_set *set, const struct extent_table *to, uint32_t *slot)
{
    size_t n = 0;
    int result = 0;

    for (size_t i = 0; i < to->count; i++)
        slot[i] = SLOT_NONE;
    for (size_t old = 0; old < set->built.count; old++) {
        const struct extent *extent = &set->built.extent[old];

        while (n < to->count && to->extent[n].l2.value < extent->l2.value)
            n++;
        if (set->slot[old] == SLOT_NONE)
            continue;
        if (n < to->count && same(&to->extent[n], extent)) {
            slot[n] = set->slot[old];
        } else if (!is_over(set)) {
            int code = delete_slot(set, set->slot[old]);

            result = result != 0 ? result : code;
        } else {
            result = -EINTR;
        }
    }
    return result;
}

static int reserve(struct slot_set *set, size_t extents)
{
    size_t most = set->used + extents + 1;
    uint64_t *address;
    uint32_t *free_slot;

    if (most <= set->capacity)
        return 0;
    address = realloc(set->address, most * sizeof(*address));
    if (address == NULL)
        return -ENOMEM;
    set->address = address;
    free_slot = realloc(set->free_slot, most * sizeof(*free_slot));
    if (free_slot == NULL)
        return -ENOMEM;
    set->free_slot = free_slot;
    set->capacity = (uint32_t)most;
    return 0;
}

/* All memory is taken before the first slot is touched. When it fails on the way, `built` is `to`
 * and the slots that could not be made are SLOT_NONE. */
static int change(struct slot_set *set, const struct extent_table *to, uint8_t *host)
{
    uint32_t *slot = malloc((to->count + 1) * sizeof(*slot));
    struct extent *extent = malloc((to->count + 1) * sizeof(*extent));
    int code = slot == NULL || extent == NULL ? -ENOMEM : reserve(set, to->count);

    if (code != 0) {
        free(slot);
        free(extent);
        return code;
    }
    if (to->count > 0)
        memcpy(extent, to->extent, to->count * sizeof(*extent));
    code = keep_or_delete(set, to, slot);
    for (size_t i = 0; i < to->count && code == 0; i++) {
        if (slot[i] != SLOT_NONE || !rights_have_slot(extent[i].rights))
            continue;
        code = is_over(set) ? -EINTR : create_slot(set, &extent[i], host, &slot[i]);
    }
    free(set->slot);
    free(set->built.extent);
    set->slot = slot;
    set->built =
        (struct extent_table){.extent = extent, .count = to->count, .capacity = to->count + 1};
    return code;
}

int slot_set_apply(struct slot_set *set, const struct extent_table *to, uint8_t *host)
{
    struct extent_table before = {.count = set->built.count};
    int code;

    before.extent = malloc((before.count + 1) * sizeof(*before.extent));
    if (before.extent == NULL)
        return -ENOMEM;
    if (before.count > 0)
        memcpy(before.extent, set->built.extent, before.count * sizeof(*before.extent));
    code = change(set, to, host);
    if (code != 0 && code != -EINTR && change(set, &before, host) != 0)
        slot_set_clear(set);
    free(before.extent);
    return code;
}

void slot_set_clear(struct slot_set *set)
{
    for (uint32_t slot = 0; slot < set->used; slot++)
        kvm_vm_set_slot(set->vm, set->first + slot, 0, 0, NULL, 0);
    set->used = 0;
    set->free_count = 0;
    set->built.count = 0;
}
