/* SPDX-License-Identifier: Apache-2.0 */
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

static int map_and_lay_out(struct view_vm *vm, const struct extent_table *extents)
{
    struct remap_window *window = &vm->window;
    const struct extent_table *layout;
    int code = remap_window_layout(window, extents, &layout);

    if (code == 0)
        code = remap_window_map(window, vm->space->config.l1, extents);
    return code != 0 ? code : slot_set_apply(&vm->slots, layout, window->base);
}

/* The backing is exchanged first: slots that stay show it at once, and no vCPU runs. What differs
 * in its rights changes the layout, which costs slots. */
static int show_by_remap(struct view_vm *vm, struct space_view *view,
                         const struct extent_table *extents)
{
    struct remap_window *window = &vm->window;
    int code;

    (void)view;
    if (!remap_window_fits(window, extents)) {
        slot_set_clear(&vm->slots);
        code = remap_window_grow(window, extents);
        if (code != 0)
            return code;
    }
    return map_and_lay_out(vm, extents);
}

const struct engine engine_slots = {.vm_for = vm_for, .show = show_by_slots};
const struct engine engine_remap = {.vm_for = vm_for, .show = show_by_remap, .uses_sides = true};
