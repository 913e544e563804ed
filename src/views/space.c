/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/hot.h"
#include "mezz/vmcs12.h"
#include "views/overlay.h"
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
    space->memory = *config->l1;
    space->memory.size = config->l1->memory->size - config->l1->offset;
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

static void put_ept(struct space *space, struct space_ept *ept)
{
    struct space_ept **link = &space->epts;

    if (--ept->views > 0)
        return;
    while (*link != ept)
        link = &(*link)->next;
    *link = ept->next;
    ept12_edits_destroy(&ept->edits);
    free(ept);
}

static void put_first(struct space *space, struct space_view *view)
{
    view->next = space->views;
    view->link = &space->views;
    if (view->next != NULL)
        view->next->link = &view->next;
    space->views = view;
}

static void take_out(struct space_view *view)
{
    *view->link = view->next;
    if (view->next != NULL)
        view->next->link = view->link;
}

static void view_destroy_one(struct space_view *view)
{
    struct space *space = view->space;

    take_out(view);
    if (view->overlay != NULL && view->overlay->latest == view)
        view->overlay->latest = NULL;
    if (view->vm != NULL)
        view_vm_lose(view->vm, view);
    space->figures.views--;
    space->idle -= view->references == 0;
    put_ept(space, view->ept);
    extent_table_destroy(&view->extents);
    free(view);
}

void space_drop_views(struct space *space, const struct space_overlay *overlay)
{
    struct space_view *next;

    for (struct space_view *view = space->views; view != NULL; view = next) {
        next = view->next;
        if (view->overlay == overlay)
            view_destroy_one(view);
    }
}

void space_destroy(struct space *space)
{
    while (space->views != NULL)
        view_destroy_one(space->views);
    while (space->vms != NULL)
        view_vm_destroy(space->vms);
    space_overlay_destroy(space->hole);
    free(space);
}

bool space_has_engine(const struct space *space)
{
    return space->config.host != &nobody_looked;
}

bool space_hands_over(const struct space *space)
{
    return space->engine->vm_per_view;
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

static uint32_t idle_limit(const struct space *space)
{
    return SPACE_IDLE_VIEWS * (1 + space->overlays);
}

COLD static void evict(struct space *space)
{
    struct space_view *oldest = NULL;

    for (struct space_view *view = space->views; view != NULL; view = view->next)
        if (view->references == 0 && (view->vm == NULL || view->vm->running == 0))
            oldest = view;
    if (oldest != NULL)
        view_destroy_one(oldest);
}

/* To the front with it: who goes first is who was not got for longest. An overlay is nearly always
 * over the same EPTP, so that many of them cost no walk through the list. */
static struct space_view *find(struct space *space, uint64_t eptp, struct space_overlay *overlay)
{
    struct space_view *view = overlay == NULL ? NULL : overlay->latest;

    if (view == NULL || view->eptp != eptp) {
        view = space->views;
        while (view != NULL && (view->eptp != eptp || view->overlay != overlay))
            view = view->next;
    }
    if (view == NULL)
        return NULL;
    take_out(view);
    put_first(space, view);
    if (overlay != NULL)
        overlay->latest = view;
    return view;
}

static struct space_ept *get_ept(struct space *space, uint64_t eptp)
{
    struct space_ept *ept = space->epts;

    while (ept != NULL && ept->eptp != eptp)
        ept = ept->next;
    if (ept == NULL) {
        ept = calloc(1, sizeof(*ept));
        if (ept == NULL)
            return NULL;
        ept->eptp = eptp;
        ept->next = space->epts;
        space->epts = ept;
    }
    ept->views++;
    return ept;
}

static int create_view(struct space *space, uint64_t eptp, struct space_overlay *overlay,
                       struct space_view **created, struct ept12_fault *fault)
{
    struct space_view *view =
        aligned_alloc(VIEW_ALIGNMENT, round_up(sizeof(*view), VIEW_ALIGNMENT));
    int code = -ENOMEM;

    if (view == NULL)
        return code;
    *view = (struct space_view){.space = space};
    view->overlay = overlay;
    view->eptp = eptp;
    view->ept = get_ept(space, eptp);
    if (view->ept != NULL)
        code = space_view_read(view, &view->extents, fault);
    if (code != 0) {
        if (view->ept != NULL)
            put_ept(space, view->ept);
        extent_table_destroy(&view->extents);
        free(view);
        return code;
    }
    view->builds = 1;
    space->changes++;
    put_first(space, view);
    space->figures.views++;
    space->idle++;
    *created = view;
    return 0;
}

int space_view_get(struct space *space, uint64_t eptp, struct space_overlay *overlay,
                   struct space_view **got, struct ept12_fault *fault)
{
    struct space_view *view = find(space, eptp, overlay);
    int code = view == NULL ? create_view(space, eptp, overlay, &view, fault) : 0;

    if (code != 0)
        return code;
    space->idle -= view->references++ == 0;
    if (space->idle > idle_limit(space))
        evict(space);
    *got = view;
    return 0;
}

HOT void space_view_idle(struct space_view *view)
{
    if (++view->space->idle > idle_limit(view->space))
        evict(view->space);
}

/* What INVEPT named is read again now, so that its mistakes are the list's; where a vCPU runs in
 * it, later. */
static int get_listed(struct space *space, uint64_t eptp, struct space_view **view,
                      struct ept12_fault *fault)
{
    int code = space_view_get(space, eptp, NULL, view, fault);

    if (code == 0 && (*view)->stale)
        code = space_view_rebuild(*view, fault);
    return code == -EBUSY ? 0 : code;
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
            code = get_listed(space, eptp[i], &views[i], fault);
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

int space_set_hole(struct space *space, l2_address page)
{
    const struct view_patch patch = {page.value, 0, VIEW_PATCH_SAME};
    int code;

    if (space->hole != NULL)
        return -EEXIST;
    code = space_overlay_create(&space->hole, space, &patch, 1, MEZZ_EPT_RWX);
    for (struct space_view *view = space->views; view != NULL && code == 0; view = view->next)
        space_view_set_stale(view);
    return code;
}

uint32_t space_list_count(const struct space *space)
{
    return space->list_count;
}

bool space_list_has(const struct space *space, uint32_t index)
{
    return space->list[index] != NULL;
}

uint64_t space_list_eptp(const struct space *space, uint32_t index)
{
    return space->list[index] == NULL ? 0 : space->list[index]->eptp;
}

uint32_t space_list_find(const struct space *space, uint64_t eptp, uint32_t before)
{
    if (space->list_count == 0)
        return 0;
    if (before < space->list_count && space_list_eptp(space, before) == eptp)
        return before;
    for (uint32_t i = 0; i < space->list_count; i++)
        if (space_list_has(space, i) && space_list_eptp(space, i) == eptp)
            return i;
    return MEZZ_VIEW_NONE;
}

void space_invept(struct space *space, uint64_t eptp)
{
    for (struct space_view *view = space->views; view != NULL; view = view->next) {
        if (eptp != 0 && view->eptp != eptp)
            continue;
        space_view_set_stale(view);
        ept12_edits_forget_told(&view->ept->edits);
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

HOT uint64_t space_changes(const struct space *space)
{
    return space->changes;
}

void space_figures(const struct space *space, struct space_figures *figures)
{
    *figures = space->figures;
}
