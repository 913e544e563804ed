/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "host/hot.h"
#include "views/carry.h"
#include "views/space_internal.h"

/* One that a vCPU left there, cleared, or a new one. */
static int take_core(struct view_vm *vm, uint32_t number, struct view_core **core,
                     struct error *error)
{
    *core = vm->core[number];
    /* What its TLB has is of page tables that are gone. */
    if (*core != NULL && carry_flush(&(*core)->kvm, &(*core)->kvm) == 0 &&
        view_core_make_fresh(*core) == 0)
        return 0;
    if (*core != NULL)
        view_core_destroy(*core);
    vm->core[number] = NULL;
    return view_core_create(vm, number, core, error);
}

int view_vcpu_create(struct view_vcpu *vcpu, struct space *space, struct error *error)
{
    bool taken[SPACE_VCPUS] = {false};
    uint32_t number = 0;
    int code;

    for (const struct view_vcpu *other = space->vcpus; other != NULL; other = other->next)
        taken[other->number] = true;
    while (number < SPACE_VCPUS && taken[number])
        number++;
    if (number == SPACE_VCPUS)
        return error_set(error, ENOSPC, "more than %u vCPUs", SPACE_VCPUS);
    *vcpu = (struct view_vcpu){.space = space, .number = number};
    code = take_core(space->vms, number, &vcpu->core, error);
    if (code != 0)
        return code;
    vcpu->core->used = true;
    vcpu->core->msrs = 0;
    space->vcpu_count++;
    vcpu->kvm = &vcpu->core->kvm;
    vcpu->next = space->vcpus;
    space->vcpus = vcpu;
    return 0;
}

void view_vcpu_destroy(struct view_vcpu *vcpu)
{
    struct view_vcpu **link = &vcpu->space->vcpus;

    while (*link != vcpu)
        link = &(*link)->next;
    *link = vcpu->next;
    for (struct view_vm *vm = vcpu->space->vms; vm != NULL; vm = vm->next) {
        if (vm->core[vcpu->number] == NULL)
            continue;
        view_vm_harvest(vm);
        if (vcpu->spoilt && vm->core[vcpu->number] == vcpu->core) {
            view_core_destroy(vcpu->core);
            vm->core[vcpu->number] = NULL;
        } else {
            view_core_leave(vm->core[vcpu->number]);
        }
    }
    vcpu->space->vcpu_count--;
    space_view_put(vcpu->view);
}

void view_vcpu_msrs_changed(struct view_vcpu *vcpu)
{
    vcpu->msrs++;
    vcpu->core->msrs = vcpu->msrs;
}

void view_vcpu_msr_changed(struct view_vcpu *vcpu, uint32_t msr)
{
    const enum view_msr_kind kind = view_msr_kind(msr);

    /* A gate looks at one count alone. */
    if (kind == VIEW_MSR_CARRIED || kind == VIEW_MSR_SWAPPED || kind == VIEW_MSR_SELDOM)
        view_vcpu_msrs_changed(vcpu);
    if (kind != VIEW_MSR_SELDOM)
        return;
    vcpu->seldom++;
    vcpu->core->seldom = vcpu->seldom;
}

static int move_to(struct view_vcpu *vcpu, struct view_vm *vm, enum view_carry what,
                   struct error *error)
{
    struct view_core *core = vm->core[vcpu->number];
    const bool is_new = core == NULL;
    int code = 0;

    error->text[0] = '\0';
    if (is_new)
        code = view_core_create(vm, vcpu->number, &core, error);
    if (code == 0 && dirty_ring_has(&vcpu->core->ring))
        code = view_vm_harvest(vcpu->core->vm);
    return code != 0 ? code : view_vcpu_hand_over(vcpu, core, is_new, what);
}

/* Puts the vCPU where its view is. */
static int move(struct view_vcpu *vcpu, struct space_view *view, enum view_carry what)
{
    struct error error;
    struct view_vm *vm;
    int code = space_view_show(view, &vm);

    if (code != 0)
        return code;
    return vm->core[vcpu->number] == vcpu->core ? 0 : move_to(vcpu, vm, what, &error);
}

int view_vcpu_move(struct view_vcpu *vcpu, struct view_vm *to, struct error *error)
{
    int code;

    /* Nobody heard of what it wrote so far. */
    vcpu->seldom++;
    code = move_to(vcpu, to, CARRY_ALL, error);
    if (code != 0 && error->text[0] == '\0')
        error_set(error, -code, "a vCPU's state: %s", strerror(-code));
    return code;
}

COLD static int enter_slowly(struct view_vcpu *vcpu, struct space_view *view, enum view_carry what,
                             struct ept12_fault *fault)
{
    struct space_view *before = vcpu->view;
    int code = view->stale ? space_view_rebuild(view, fault) : 0;

    if (code == 0)
        code = move(vcpu, view, what);
    if (code != 0 || view == before)
        return code;
    view_vcpu_be_in(vcpu, view);
    space_view_put(before);
    return 0;
}

HOT static int enter(struct view_vcpu *vcpu, struct space_view *view, enum view_carry what,
                     struct ept12_fault *fault)
{
    if (what == CARRY_GATE && view_vcpu_go_over(vcpu, view))
        return 0;
    return enter_slowly(vcpu, view, what, fault);
}

COLD static int enter_eptp(struct view_vcpu *vcpu, uint64_t eptp, struct space_overlay *overlay,
                           enum view_carry what, struct ept12_fault *fault)
{
    struct space_view *view;
    int code = space_view_get(vcpu->space, eptp, overlay, &view, fault);

    if (code != 0)
        return code;
    code = enter(vcpu, view, what, fault);
    space_view_put(view);
    return code;
}

int view_vcpu_use(struct view_vcpu *vcpu, uint64_t eptp, enum view_carry what,
                  struct ept12_fault *fault)
{
    if (vcpu->view != NULL && vcpu->view->eptp == eptp)
        return enter(vcpu, vcpu->view, what, fault);
    return enter_eptp(vcpu, eptp, vcpu->overlay, what, fault);
}

int view_vcpu_switch_to(struct view_vcpu *vcpu, struct space_view *view, uint32_t index,
                        enum view_carry what, struct ept12_fault *fault)
{
    int code;

    if (vcpu->overlay == NULL)
        code = enter(vcpu, view, what, fault);
    else
        code = enter_eptp(vcpu, view->eptp, vcpu->overlay, what, fault);
    if (code == 0)
        vcpu->index = index;
    return code;
}

HOT int view_vcpu_overlay(struct view_vcpu *vcpu, struct space_overlay *overlay,
                          enum view_carry what, struct ept12_fault *fault)
{
    struct space_view *latest = overlay == NULL ? NULL : overlay->latest;
    int code = 0;

    if (overlay == vcpu->overlay)
        return 0;
    /* Of two overlays in turn both views are in use: how long ago they were got does not matter. */
    if (vcpu->view != NULL && latest != NULL && latest->ept == vcpu->view->ept)
        code = enter(vcpu, latest, what, fault);
    else if (vcpu->view != NULL)
        code = enter_eptp(vcpu, vcpu->view->eptp, overlay, what, fault);
    if (code == 0)
        vcpu->overlay = overlay;
    return code;
}

static int synchronise(struct view_vm *vm)
{
    struct space *space = vm->space;
    struct table_sync_result result;
    int code;

    vm->sync.bare = view_is_bare(vm->view);
    code = table_sync_run(&vm->sync, &vm->slots, &space->log, vm, space->config.host,
                          vm->slots.limit, &result);

    space->figures.syncs += result.pages > 0;
    space->figures.synced += result.pages;
    space->figures.zaps += result.zapped;
    return code;
}

static void begin_run(struct view_vcpu *vcpu)
{
    struct view_core *core = vcpu->core;
    struct view_vm *vm = core->vm;

    /* Events that are about to be loaded say a side, too. */
    if (vm->has_sides &&
        (core->side != vm->side || core->kvm.run->kvm_dirty_regs & KVM_SYNC_X86_EVENTS)) {
        core->side = vm->side;
        side_take(&core->kvm, core->side);
    }
    vm->running++;
    vcpu->running = true;
}

/* Nothing is to be done before the vCPU runs. */
static bool is_ready(const struct view_vcpu *vcpu)
{
    const struct space *space = vcpu->space;
    const struct view_vm *vm = vcpu->core->vm;

    return vcpu->view != NULL && vm->view == vcpu->view && space->vcpu_count == 1 &&
           vm->sync.seen == space->log.head && !vm->sync.zap && !vm->wants_exact &&
           !vcpu->view->stale && vcpu->core->step == STEP_NONE;
}

COLD static int make_ready(struct view_vcpu *vcpu, struct ept12_fault *fault)
{
    int code = 0;

    if (vcpu->view != NULL && vcpu->view->stale)
        code = enter(vcpu, vcpu->view, CARRY_ALL, fault);
    if (code == 0 && vcpu->view != NULL && vcpu->core->vm->wants_exact)
        code = move(vcpu, vcpu->view, CARRY_ALL);
    if (code == 0)
        code = view_vcpu_hold(vcpu);
    if (code == 0 && vcpu->core->step != STEP_NONE)
        step_settle(vcpu->kvm, &vcpu->core->step);
    return code;
}

HOT int view_vcpu_prepare(struct view_vcpu *vcpu, struct ept12_fault *fault)
{
    if (!is_ready(vcpu))
        return make_ready(vcpu, fault);
    begin_run(vcpu);
    return 0;
}

/* Where KVM shadows page tables a VM hears before it runs of what was written in others: so no
 * other one writes while it runs. */
static bool has_to_wait(const struct view_vcpu *vcpu)
{
    const struct space *space = vcpu->space;

    if (!space->engine->vm_per_view || space->config.host->paging.kind == PAGING_HARDWARE)
        return false;
    for (const struct view_vcpu *other = space->vcpus; other != NULL; other = other->next)
        if (other->running && other->core->vm != vcpu->core->vm)
            return true;
    return false;
}

int view_vcpu_hold(struct view_vcpu *vcpu)
{
    struct space *space = vcpu->space;
    struct view_vm *vm = vcpu->core->vm;
    int code = 0;

    if (vcpu->view == NULL)
        return -EINVAL;
    if (vcpu->ring_error != 0)
        return vcpu->ring_error;
    if (vm->view != vcpu->view) {
        code = move(vcpu, vcpu->view, CARRY_ALL);
        if (code != 0)
            return code;
        vm = vcpu->core->vm;
    }
    if (space->vcpu_count > 1 && has_to_wait(vcpu))
        return -EBUSY;
    if (space->vcpu_count > 1)
        for (const struct view_vcpu *other = space->vcpus; other != NULL; other = other->next)
            if (code == 0 && other->core->vm != vm && dirty_ring_has(&other->core->ring))
                code = view_vm_harvest(other->core->vm);
    if (code == 0 && (vm->sync.seen != space->log.head || vm->sync.zap))
        code = synchronise(vm);
    if (code == 0)
        begin_run(vcpu);
    return code;
}

COLD static void harvest_full_ring(struct view_vcpu *vcpu)
{
    struct view_vm *vm = vcpu->core->vm;

    vcpu->kvm->run->exit_reason = KVM_EXIT_UNKNOWN;
    vcpu->ring_error = dirty_ring_full(&vcpu->core->ring, &vm->slots, &vm->space->log, vm);
    /* Whoever prepares the next run hears of it. */
    vm->sync.zap |= vcpu->ring_error != 0;
}

/* The core is not to be gone over to without a look at its step. */
COLD static void note_step(const struct host_traits *host, struct view_core *core)
{
    if (host != NULL && host->leaves_steps && step_note(core->kvm.run, &core->step))
        core->ask = NULL;
}

HOT bool view_vcpu_after(struct view_vcpu *vcpu)
{
    struct view_vm *vm = vcpu->core->vm;

    if (vcpu->running)
        vm->running--;
    vcpu->running = false;
    /* After a shutdown KVM may have reset the vCPU: that is side 0. */
    vcpu->core->side = vcpu->kvm->run->flags & KVM_RUN_X86_SMM ? 1 : 0;
    if (__builtin_expect(vcpu->kvm->run->s.regs.regs.rflags & STEP_FLAG, 0) ||
        vcpu->core->step != STEP_NONE)
        note_step(vcpu->space->config.host, vcpu->core);
    if (vcpu->kvm->run->exit_reason != KVM_EXIT_DIRTY_RING_FULL)
        return false;
    harvest_full_ring(vcpu);
    return true;
}

bool view_vcpu_is_soft(const struct view_vcpu *vcpu)
{
    const struct view_vm *vm = vcpu->core->vm;

    return vm->window.soft && vm->view == vcpu->view;
}

COLD bool view_vcpu_make_exact(struct view_vcpu *vcpu)
{
    if (!view_vcpu_is_soft(vcpu))
        return false;
    remap_window_met(&vcpu->core->vm->window);
    vcpu->core->vm->wants_exact = true;
    return true;
}

bool view_vcpu_is_aside(const struct view_vcpu *vcpu)
{
    return vcpu->core->side != 0;
}

void view_vcpu_counts(const struct view_vcpu *vcpu, uint64_t *runs, uint64_t *other_ioctls)
{
    *runs = *other_ioctls = 0;
    for (const struct view_vm *vm = vcpu->space->vms; vm != NULL; vm = vm->next) {
        const struct view_core *core = vm->core[vcpu->number];

        if (core == NULL)
            continue;
        *runs += core->kvm.runs;
        *other_ioctls += core->kvm.other_ioctls;
    }
}
