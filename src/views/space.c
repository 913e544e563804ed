/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "views/space_internal.h"

static const struct engine *const engines[ENGINE_KINDS] = {
    [ENGINE_FLIP] = &engine_flip,
    [ENGINE_REMAP] = &engine_remap,
    [ENGINE_SLOTS] = &engine_slots,
};

/* One VM needs to hear of nothing. */
static const struct host_traits nobody_looked = {.paging = {.kind = PAGING_HARDWARE}};

int space_create(struct space **created, const struct space_config *config, struct error *error)
{
    struct space *space = calloc(1, sizeof(*space));
    struct view_vm *vm;
    int code;

    if (space == NULL)
        return error_set(error, ENOMEM, "out of memory");
    space->config = *config;
    if (config->host == NULL) {
        space->config.host = &nobody_looked;
        space->config.engine = ENGINE_SLOTS;
    }
    space->engine = engines[space->config.engine];
    code = view_vm_create(space, &vm, error);
    if (code != 0) {
        free(space);
        return code;
    }
    *created = space;
    return 0;
}

static void view_destroy_one(struct space_view *view)
{
    struct space_view **link = &view->space->views;

    while (*link != view)
        link = &(*link)->next;
    *link = view->next;
    if (view->vm != NULL)
        view->vm->view = NULL;
    view->space->figures.views--;
    extent_table_destroy(&view->extents);
    ept12_edits_destroy(&view->edits);
    free(view);
}

void space_destroy(struct space *space)
{
    while (space->views != NULL)
        view_destroy_one(space->views);
    while (space->vms != NULL)
        view_vm_destroy(space->vms);
    remap_window_destroy(&space->window);
    free(space);
}

bool space_has_engine(const struct space *space)
{
    return space->config.host != &nobody_looked;
}

enum engine_kind space_engine(const struct space *space)
{
    return space->config.engine;
}

static int move_vcpus(struct space *space, struct view_vm *to, struct error *error)
{
    int code = 0;

    for (struct view_vcpu *vcpu = space->vcpus; vcpu != NULL && code == 0; vcpu = vcpu->next)
        code = view_vcpu_move(vcpu, to, error);
    return code;
}

/* What a VM is made for is settled when KVM makes it: a dirty ring, its slots' flags. */
int space_set_engine(struct space *space, enum engine_kind engine, const struct host_traits *host,
                     struct error *error)
{
    struct view_vm *vm;
    struct view_vm *before = space->vms;
    int code;

    space->config.host = host;
    space->config.engine = engine;
    space->engine = engines[engine];
    code = view_vm_create(space, &vm, error);
    if (code == 0)
        code = move_vcpus(space, vm, error);
    if (code != 0)
        return code;
    if (before->view != NULL)
        before->view->vm = NULL;
    view_vm_destroy(before);
    return 0;
}

int space_each_vm(struct space *space, int (*function)(void *context, const struct kvm_vm *vm),
                  void *context)
{
    int code = 0;

    for (struct view_vm *vm = space->vms; vm != NULL && code == 0; vm = vm->next)
        code = function(context, &vm->vm);
    return code;
}

static void evict(struct space *space)
{
    struct space_view *oldest = NULL;
    uint32_t idle = 0;

    for (struct space_view *view = space->views; view != NULL; view = view->next) {
        if (view->references == 0 && (view->vm == NULL || view->vm->running == 0)) {
            oldest = view;
            idle++;
        }
    }
    if (idle > SPACE_IDLE_VIEWS)
        view_destroy_one(oldest);
}

static struct space_view *find(struct space *space, uint64_t eptp)
{
    struct space_view *view = space->views;

    while (view != NULL && view->eptp != eptp)
        view = view->next;
    return view;
}

int space_view_get(struct space *space, uint64_t eptp, struct space_view **got,
                   struct ept12_fault *fault)
{
    struct space_view *view = find(space, eptp);
    int code;

    if (view == NULL) {
        view = calloc(1, sizeof(*view));
        if (view == NULL)
            return -ENOMEM;
        code = ept12_walk(&view->extents, space->config.l1, eptp, fault);
        if (code != 0) {
            extent_table_destroy(&view->extents);
            free(view);
            return code;
        }
        view->space = space;
        view->eptp = eptp;
        view->builds = 1;
        view->next = space->views;
        space->views = view;
        space->figures.views++;
    }
    view->references++;
    evict(space);
    *got = view;
    return 0;
}

void space_view_put(struct space_view *view)
{
    if (view == NULL)
        return;
    view->references--;
    evict(view->space);
}

int space_set_list(struct space *space, const uint64_t *eptp, uint32_t count, uint32_t *bad,
                   struct ept12_fault *fault)
{
    struct space_view **views;
    int code = 0;

    if (count > MEZZ_MAX_VIEWS)
        return MEZZ_E_ARGUMENT;
    views = calloc(MEZZ_MAX_VIEWS, sizeof(struct space_view *));
    if (views == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < count && code == 0; i++) {
        if (eptp[i] != 0)
            code = space_view_get(space, eptp[i], &views[i], fault);
        if (code != 0 && bad != NULL)
            *bad = i;
    }
    /* Whoever goes: the new ones after a failure, the former ones otherwise. */
    for (uint32_t i = 0; i < MEZZ_MAX_VIEWS; i++) {
        struct space_view *gone = code != 0 ? views[i] : space->list[i];

        if (code == 0)
            space->list[i] = views[i];
        space_view_put(gone);
    }
    if (code == 0)
        space->list_count = count;
    free(views);
    return code;
}

uint32_t space_list_count(const struct space *space)
{
    return space->list_count;
}

void space_invept(struct space *space, uint64_t eptp)
{
    for (struct space_view *view = space->views; view != NULL; view = view->next) {
        if (eptp != 0 && view->eptp != eptp)
            continue;
        view->stale = true;
        ept12_edits_forget_told(&view->edits);
        if (view->vm != NULL && space->config.host->paging.kind != PAGING_HARDWARE)
            view->vm->sync.zap = true;
    }
}

void space_wrote(struct space *space, l2_address address, uint64_t length)
{
    if (space->config.host->paging.kind == PAGING_HARDWARE || length == 0)
        return;
    for (uint64_t page = address.value / PAGE_SIZE;
         page <= (address.value + length - 1) / PAGE_SIZE; page++)
        table_log_add(&space->log, page, NULL);
}

void space_figures(const struct space *space, struct space_figures *figures)
{
    *figures = space->figures;
}
