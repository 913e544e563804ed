/* SPDX-License-Identifier: Apache-2.0 */
#include "views/space_internal.h"

/* A VM that shows no view, or a new one. */
static int vm_for(struct space *space, struct space_view *view, struct view_vm **vm)
{
    struct error error;

    *vm = view->vm;
    if (*vm != NULL)
        return 0;
    for (*vm = space->vms; *vm != NULL; *vm = (*vm)->next)
        if ((*vm)->view == NULL)
            return 0;
    return view_vm_create(space, vm, &error);
}

static int show(struct view_vm *vm, struct space_view *view, const struct extent_table *extents)
{
    const struct l1_memory *l1 = vm->space->config.l1;

    (void)view;
    return slot_set_apply(&vm->slots, extents, l1->memory->base + l1->offset);
}

const struct engine engine_flip = {.vm_for = vm_for, .show = show, .vm_per_view = true};
