/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "views/space_internal.h"

uint64_t space_view_eptp(const struct space_view *view)
{
    return view->eptp;
}

const struct extent_table *space_view_extents(const struct space_view *view)
{
    return &view->extents;
}

struct ept12_edits *space_view_edits(struct space_view *view)
{
    return &view->edits;
}

uint64_t space_view_builds(const struct space_view *view)
{
    return view->builds;
}

/* What is in the rings names slots, which are about to change. */
static int show(struct view_vm *vm, struct space_view *view, const struct extent_table *extents)
{
    struct space_view *before = vm->view;
    int code = view_vm_harvest(vm);

    if (code != 0)
        return code;
    if (vm->tlb.address != 0 && extent_table_find(extents, l2_at(vm->tlb.address)) != NULL)
        tlb_page_leave(&vm->tlb, &vm->slots, vm->slots.limit);
    if (vm->sync.program != 0 && extent_table_find(extents, l2_at(vm->sync.program)) != NULL)
        table_sync_leave(&vm->sync, &vm->slots, vm->slots.limit);
    code = vm->space->engine->show(vm, view, extents);
    if (code != 0 && before != NULL && before != view &&
        vm->space->engine->show(vm, before, &before->extents) == 0)
        return code;
    if (before != NULL)
        before->vm = NULL;
    vm->view = code == 0 ? view : NULL;
    view->vm = code == 0 ? vm : NULL;
    return code;
}

int space_view_show(struct space_view *view, struct view_vm **vm)
{
    int code = view->space->engine->vm_for(view->space, view, vm);

    if (code != 0 || (*vm)->view == view)
        return code;
    if ((*vm)->running > 0)
        return -EBUSY;
    return show(*vm, view, &view->extents);
}

int space_view_rebuild(struct space_view *view, struct ept12_fault *fault)
{
    struct extent_table extents = {0};
    struct extent_table before = view->extents;
    int code;

    if (view->vm != NULL && view->vm->running > 0)
        return -EBUSY;
    code = ept12_walk_edited(&extents, view->space->config.l1, view->eptp, &view->edits, fault);
    if (code == 0 && view->vm != NULL)
        code = show(view->vm, view, &extents);
    if (code != 0) {
        extent_table_destroy(&extents);
        return code;
    }
    view->extents = extents;
    extent_table_destroy(&before);
    view->stale = false;
    view->builds++;
    return 0;
}

int space_view_lookup(struct space_view *view, l2_address address,
                      struct ept12_translation *translation)
{
    return ept12_lookup_edited(translation, view->space->config.l1, view->eptp, address,
                               &view->edits, NULL);
}

void space_view_set_stale(struct space_view *view)
{
    view->stale = true;
}

bool space_view_has(const struct space_view *view, l2_address address, uint32_t rights)
{
    const struct extent *extent = extent_table_find(&view->extents, address);

    return extent != NULL && (extent->rights & rights) == rights;
}

int space_view_access(struct space_view *view, l2_address address, bool write, void *data,
                      uint32_t length)
{
    const struct l1_memory *l1 = view->space->config.l1;
    const uint32_t right = write ? MEZZ_EPT_WRITE : MEZZ_EPT_READ;
    struct ept12_translation part[2];
    uint32_t first = (uint32_t)(PAGE_SIZE - address.value % PAGE_SIZE);

    if (first > length)
        first = length;
    if (space_view_lookup(view, address, &part[0]) != 0 || !(part[0].rights & right))
        return -EFAULT;
    part[1] = part[0];
    if (first < length && (space_view_lookup(view, l2_at(address.value + first), &part[1]) != 0 ||
                           !(part[1].rights & right)))
        return -EFAULT;
    if (!write) {
        l1_read(l1, part[0].l1, data, first);
        return l1_read(l1, part[1].l1, (uint8_t *)data + first, length - first);
    }
    space_wrote(view->space, address, length);
    l1_write(l1, part[0].l1, data, first);
    return l1_write(l1, part[1].l1, (uint8_t *)data + first, length - first);
}
