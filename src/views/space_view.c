/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "host/hot.h"
#include "views/overlay.h"
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
    return &view->ept->edits;
}

uint64_t space_view_builds(const struct space_view *view)
{
    return view->builds;
}

/* What KVM writes for a hypercall goes to side 0, whichever its vCPU sees: there is the view of
 * whoever makes one, if others have what it has not. Otherwise what was shown last stays on its
 * side, and the other one's turn it is, whatever is there. */
static bool is_on_other_side(const struct view_vm *vm, const struct space_view *view)
{
    if (view->overlay != NULL)
        return vm->side != (view->overlay->aside ? 1 : 0);
    return vm->view != view && (vm->view != NULL || vm->other.view == view);
}

static void turn(struct view_vm *vm, const struct space_view *view)
{
    const struct view_side now = {vm->view, vm->slots, vm->window};

    if (!is_on_other_side(vm, view))
        return;
    vm->view = vm->other.view;
    vm->slots = vm->other.slots;
    vm->window = vm->other.window;
    vm->other = now;
    vm->side ^= 1;
}

/* A page of the root's. */
static bool is_in_the_way(uint64_t address, const struct space_view *view,
                          const struct extent_table *extents)
{
    return view_is_bare(view) || extent_table_find(extents, l2_at(address)) != NULL;
}

/* What is in the rings names slots, which are about to change. */
static int show(struct view_vm *vm, struct space_view *view, const struct extent_table *extents)
{
    struct space_view *before;
    int code;

    if (vm->has_sides)
        turn(vm, view);
    if (vm->view != view)
        vm->wants_exact = false;
    if (vm->view == view && extents == &view->extents && !vm->wants_exact)
        return 0;
    before = vm->view;
    code = view_vm_harvest(vm);
    vm->space->figures.shown++;
    if (code != 0)
        return code;
    if (vm->tlb.address != 0 && is_in_the_way(vm->tlb.address, view, extents))
        view_vm_forget_tlb(vm);
    if (vm->sync.program != 0 && is_in_the_way(vm->sync.program, view, extents))
        table_sync_leave(&vm->sync, &vm->slots, vm->slots.limit);
    code = vm->space->engine->show(vm, view, extents);
    if (code != 0 && before != NULL && before != view &&
        vm->space->engine->show(vm, before, &before->extents) == 0)
        return code;
    vm->wants_exact = false;
    if (before != NULL)
        before->vm = NULL;
    vm->view = code == 0 ? view : NULL;
    view->vm = code == 0 ? vm : NULL;
    return code;
}

int space_view_show(struct space_view *view, struct view_vm **vm)
{
    int code = view->space->engine->vm_for(view->space, view, vm);

    if (code != 0 || ((*vm)->view == view && !(*vm)->wants_exact))
        return code;
    if ((*vm)->running > 0)
        return -EBUSY;
    return show(*vm, view, &view->extents);
}

static int lay_over(const struct space_overlay *overlay, struct extent_table *extents)
{
    struct extent_table result = {0};
    int code;

    if (overlay == NULL)
        return 0;
    code = space_overlay_compose(overlay, extents, &result);
    extent_table_destroy(extents);
    *extents = result;
    return code == -E2BIG ? MEZZ_E_EPT_LIMIT : code;
}

int space_view_read(struct space_view *view, struct extent_table *extents,
                    struct ept12_fault *fault)
{
    const struct space_config *config = &view->space->config;
    const struct ept12_until until = {config->over, config->context};
    int code = ept12_walk_edited(extents, config->l1, view->eptp, &view->ept->edits, &until, fault);
    const bool withheld = extents->withheld;

    if (code == 0)
        code = lay_over(view->overlay, extents);
    if (code == 0)
        code = lay_over(view->space->hole, extents);
    extents->withheld = withheld;
    return code;
}

int space_view_rebuild(struct space_view *view, struct ept12_fault *fault)
{
    struct extent_table extents = {0};
    struct extent_table before = view->extents;
    int code;

    if (view->vm != NULL && view->vm->running > 0)
        return -EBUSY;
    code = space_view_read(view, &extents, fault);
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
    view->space->changes++;
    return 0;
}

HOT int space_view_lookup_ept(struct space_view *view, l2_address address,
                              struct ept12_translation *translation)
{
    return ept12_lookup_edited(translation, view->space->config.l1, view->eptp, address,
                               &view->ept->edits, NULL);
}

HOT uint32_t space_view_ept_rights(struct space_view *view, struct ept12_kept *kept,
                                   l2_address address)
{
    return ept12_rights(kept, view->space->config.l1, view->eptp, address, &view->ept->edits);
}

int space_view_lookup(struct space_view *view, l2_address address,
                      struct ept12_translation *translation)
{
    struct space_overlay *overlay = view->overlay;
    const struct view_patch *patch = overlay == NULL ? NULL : space_overlay_find(overlay, address);
    int code;

    if (view->space->hole != NULL && space_overlay_find(view->space->hole, address) != NULL) {
        *translation = (struct ept12_translation){.page_size = PAGE_SIZE};
        return 0;
    }
    if (patch != NULL && patch->backing != VIEW_PATCH_SAME) {
        *translation = (struct ept12_translation){
            .l1 =
                l1_at(patch->backing - view->space->config.l1->offset + address.value % PAGE_SIZE),
            .page_size = PAGE_SIZE,
            .rights = patch->rights,
            .page = l2_at(patch->page),
        };
        return 0;
    }
    code = space_view_lookup_ept(view, address, translation);
    if (code == 0 && overlay != NULL)
        translation->rights &= patch != NULL ? patch->rights : overlay->others;
    return code;
}

const struct l1_memory *space_view_memory(const struct space_view *view)
{
    return &view->space->memory;
}

void space_edited(struct space_view *view)
{
    for (struct space_view *other = view->space->views; other != NULL; other = other->next)
        if (other != view && other->ept == view->ept)
            space_view_set_stale(other);
}

void space_view_set_stale(struct space_view *view)
{
    view->stale = true;
    view->space->changes++;
}

HOT bool space_view_has(const struct space_view *view, l2_address address, uint32_t rights)
{
    const struct extent *extent = extent_table_find(&view->extents, address);

    if (view->extents.withheld)
        rights &= ~(uint32_t)MEZZ_EPT_WRITE;
    return extent != NULL && (extent->rights & rights) == rights;
}

HOT const struct extent *space_view_extent(const struct space_view *view, l2_address address,
                                           uint32_t length)
{
    const struct extent *extent = view->stale ? NULL : extent_table_find(&view->extents, address);

    if (extent == NULL || length > extent->length - (address.value - extent->l2.value))
        return NULL;
    return extent;
}

HOT int space_view_access_in(struct space_view *view, const struct extent *extent,
                             l2_address address, bool write, void *data, uint32_t length)
{
    const struct l1_memory *memory = &view->space->memory;
    const l1_address at = l1_at(extent->l1.value + (address.value - extent->l2.value));

    if (!write)
        return l1_read(memory, at, data, length);
    space_wrote(view->space, address, length);
    return l1_write(memory, at, data, length);
}

int space_view_access(struct space_view *view, l2_address address, bool write, void *data,
                      uint32_t length)
{
    const struct l1_memory *memory = &view->space->memory;
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
        l1_read(memory, part[0].l1, data, first);
        return l1_read(memory, part[1].l1, (uint8_t *)data + first, length - first);
    }
    space_wrote(view->space, address, length);
    l1_write(memory, part[0].l1, data, first);
    return l1_write(memory, part[1].l1, (uint8_t *)data + first, length - first);
}
