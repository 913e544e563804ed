/* SPDX-License-Identifier: Apache-2.0 */
#include "views/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void view_init(struct view *view, const struct kvm_vm *vm, const struct l1_memory *l1)
{
    int limit = kvm_extension(vm->kvm, KVM_CAP_NR_MEMSLOTS);

    *view = (struct view){.vm = vm, .l1 = l1, .slot_limit = limit > 0 ? (uint32_t)limit : 32};
}

void view_destroy(struct view *view)
{
    extent_table_destroy(&view->extents);
    extent_table_destroy(&view->next);
    ept12_edits_destroy(&view->edits);
    free(view->slot);
    free(view->free_slot);
}

static bool needs_slot(const struct extent *extent)
{
    return (extent->rights & (MEZZ_EPT_READ | MEZZ_EPT_EXECUTE)) ==
           (MEZZ_EPT_READ | MEZZ_EPT_EXECUTE);
}

static bool same(const struct extent *a, const struct extent *b)
{
    return a->l2.value == b->l2.value && a->l1.value == b->l1.value && a->length == b->length &&
           a->rights == b->rights;
}

static int delete_slot(struct view *view, uint32_t slot)
{
    view->free_slot[view->free_count++] = slot;
    return kvm_vm_set_slot(view->vm, slot, 0, 0, NULL, 0);
}

static int create_slot(struct view *view, const struct extent *extent, uint32_t *slot)
{
    uint32_t flags = extent->rights & MEZZ_EPT_WRITE ? 0 : KVM_MEM_READONLY;

    *slot = VIEW_NO_SLOT;
    if (!needs_slot(extent))
        return 0;
    if (view->free_count > 0)
        *slot = view->free_slot[--view->free_count];
    else if (view->used_slots < view->slot_limit)
        *slot = view->used_slots++;
    else
        return -ENOSPC;
    return kvm_vm_set_slot(view->vm, *slot, extent->l2.value, extent->length,
                           l1_pointer(view->l1, extent->l1, extent->length), flags);
}

/* Carries the slots of extents that stay over to `slot` and deletes the others, so that the new
 * ones, which may overlap them, can be made. */
static int keep_or_delete(struct view *view, const struct extent_table *next, uint32_t *slot)
{
    size_t n = 0;
    int result = 0;

    for (size_t i = 0; i < next->count; i++)
        slot[i] = VIEW_NO_SLOT;
    for (size_t old = 0; old < view->extents.count; old++) {
        const struct extent *extent = &view->extents.extent[old];

        while (n < next->count && next->extent[n].l2.value < extent->l2.value)
            n++;
        if (n < next->count && same(&next->extent[n], extent)) {
            slot[n] = view->slot[old];
        } else if (view->slot[old] != VIEW_NO_SLOT) {
            int code = delete_slot(view, view->slot[old]);

            result = result != 0 ? result : code;
        }
    }
    return result;
}

static void delete_all(struct view *view)
{
    for (uint32_t slot = 0; slot < view->used_slots; slot++)
        kvm_vm_set_slot(view->vm, slot, 0, 0, NULL, 0);
    view->used_slots = 0;
    view->free_count = 0;
    view->extents.count = 0;
    view->eptp = 0;
}

static int reserve_slots(struct view *view, size_t extents, uint32_t **slot)
{
    size_t most = view->used_slots + extents;
    uint32_t *grown = realloc(view->free_slot, (most + 1) * sizeof(*grown));

    if (grown == NULL)
        return -ENOMEM;
    view->free_slot = grown;
    *slot = malloc((extents + 1) * sizeof(**slot));
    return *slot == NULL ? -ENOMEM : 0;
}

int view_build(struct view *view, uint64_t eptp, struct ept12_fault *fault)
{
    struct extent_table old;
    uint32_t *slot;
    int code = ept12_walk_edited(&view->next, view->l1, eptp, &view->edits, fault);

    if (code != 0)
        return code;
    code = reserve_slots(view, view->next.count, &slot);
    if (code != 0)
        return code;
    code = keep_or_delete(view, &view->next, slot);
    old = view->extents;
    view->extents = view->next;
    view->next = old;
    free(view->slot);
    view->slot = slot;
    view->eptp = eptp;
    view->builds++;
    for (size_t i = 0; code == 0 && i < view->extents.count; i++)
        if (slot[i] == VIEW_NO_SLOT)
            code = create_slot(view, &view->extents.extent[i], &slot[i]);
    if (code != 0)
        delete_all(view);
    return code;
}

int view_lookup(struct view *view, l2_address address, struct ept12_translation *translation)
{
    return ept12_lookup_edited(translation, view->l1, view->eptp, address, &view->edits, NULL);
}

bool view_has(const struct view *view, l2_address address, uint32_t rights)
{
    const struct extent *extent = extent_table_find(&view->extents, address);

    return extent != NULL && (extent->rights & rights) == rights;
}

int view_access(struct view *view, l2_address address, bool write, void *data, uint32_t length)
{
    uint32_t right = write ? MEZZ_EPT_WRITE : MEZZ_EPT_READ;
    struct ept12_translation first, last;
    uint32_t in_first = (uint32_t)(PAGE_SIZE - address.value % PAGE_SIZE);

    if (in_first > length)
        in_first = length;
    if (view_lookup(view, address, &first) != 0 || !(first.rights & right))
        return -EFAULT;
    last = first;
    if (in_first < length &&
        (view_lookup(view, l2_at(address.value + in_first), &last) != 0 || !(last.rights & right)))
        return -EFAULT;
    if (write) {
        l1_write(view->l1, first.l1, data, in_first);
        return l1_write(view->l1, last.l1, (uint8_t *)data + in_first, length - in_first);
    }
    l1_read(view->l1, first.l1, data, in_first);
    return l1_read(view->l1, last.l1, (uint8_t *)data + in_first, length - in_first);
}
