/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "views/space_internal.h"

/* The engines that have one VM, which shows one view after another. */

static int vm_for(struct space *space, struct space_view *view, struct view_vm **vm)
{
    struct error error;

    (void)view;
    *vm = space->vms;
    return *vm != NULL ? 0 : view_vm_create(space, vm, &error);
}

static int show_by_slots(struct view_vm *vm, struct space_view *view,
                         const struct extent_table *extents)
{
    const struct l1_memory *l1 = vm->space->config.l1;

    (void)view;
    return slot_set_apply(&vm->slots, extents, l1->memory->base + l1->offset);
}

/* No table that was walked in the view that is left lies where the next one has nothing. */
static bool is_walled(const struct view_vm *vm, const struct space_view *next)
{
    const struct space_view *view = vm->view;

    return view != NULL && view->ept == next->ept && view->overlay != NULL &&
           next->overlay != NULL && view->overlay->walled_off == next->overlay;
}

static enum layout_mode mode_of(struct view_vm *vm, const struct space_view *view)
{
    const bool frequent = remap_window_is_frequent(&vm->window);
    /* One that is read again has no other beside it whose slots could stay. */
    const bool alone = vm->view == view && !vm->window.soft;

    if (vm->wants_exact || frequent || alone)
        return LAYOUT_EXACT;
    return vm->space->config.host->paging.kind == PAGING_HARDWARE || is_walled(vm, view)
               ? LAYOUT_ANY
               : LAYOUT_READABLE;
}

/* No vCPU runs: what is exchanged first does not matter. */
static int lay_out_and_map(struct view_vm *vm, const struct extent_table *extents,
                           enum layout_mode mode)
{
    struct remap_window *window = &vm->window;
    bool changed;
    int code = remap_window_layout(window, extents, mode, &changed);

    if (code == 0)
        code = remap_window_map(window, vm->space->config.l1, extents);
    if (code == 0 && changed)
        code = slot_set_apply(&vm->slots, &window->layout, window->base);
    return code;
}

static void forget(struct view_vm *vm)
{
    slot_set_clear(&vm->slots);
    remap_window_destroy(&vm->window);
}

/* Slots that stay show at once what is behind them. */
static int show_by_remap(struct view_vm *vm, struct space_view *view,
                         const struct extent_table *extents)
{
    struct remap_window *window = &vm->window;
    enum layout_mode mode = mode_of(vm, view);
    int code = -ENOSPC;

    if (remap_window_fits(window, extents))
        code = lay_out_and_map(vm, extents, mode);
    /* Pieces of other views may have been too many. */
    if (code == -ENOSPC) {
        slot_set_clear(&vm->slots);
        code = remap_window_grow(window, extents);
        if (code == 0)
            code = lay_out_and_map(vm, extents, mode);
    }
    if (code != 0)
        forget(vm);
    return code;
}

const struct engine engine_slots = {.vm_for = vm_for, .show = show_by_slots};
const struct engine engine_remap = {.vm_for = vm_for, .show = show_by_remap, .uses_sides = true};
