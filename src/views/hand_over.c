/* SPDX-License-Identifier: Apache-2.0 */
#include "views/carry.h"
#include "views/space_internal.h"

/* What a vCPU that goes into another VM has there: the long way, of everything but nearly all gates
 * (go_over.c). */

/* As one that never ran: KVM has forgotten the record that it was attached to, too. */
int view_core_make_fresh(struct view_core *core)
{
    core->tlb = 0;
    core->ask = NULL;
    core->seldom = 0;
    step_elsewhere(&core->step);
    return fresh_restore(&core->vm->space->fresh, &core->kvm);
}

static bool attach(struct view_vcpu *vcpu, struct view_core *to)
{
    struct view_vm *vm = to->vm;

    if (!vcpu->space->config.host->flushes_on_request || view_is_bare(vm->view) ||
        tlb_page_place(&vm->tlb, &vm->slots, vm->slots.limit) != 0)
        return false;
    if (to->tlb != vm->tlb.address && tlb_page_attach(&vm->tlb, &to->kvm, vcpu->number))
        to->tlb = vm->tlb.address;
    return to->tlb == vm->tlb.address;
}

/* The processor may have translations of the sibling from before the guest altered its page tables
 * in another view; of a new one it has none. */
static int empty_tlb(struct view_vcpu *vcpu, struct view_core *to, bool is_new)
{
    const bool attached = attach(vcpu, to);

    to->ask = attached ? tlb_page_byte(&to->vm->tlb, vcpu->number) : NULL;
    if (is_new)
        return 0;
    if (!attached)
        return carry_flush(&to->kvm, &vcpu->core->kvm);
    tlb_page_ask_by(to->ask);
    return 0;
}

static int hand_msrs_over(struct view_vcpu *vcpu, struct view_core *to, enum view_carry what)
{
    struct space *space = vcpu->space;
    struct kvm_vcpu *from = &vcpu->core->kvm;
    int code = 0;

    if (space->msrs.count == 0)
        carry_find_msrs(&space->msrs, from);
    if (what == CARRY_ALL || to->msrs != vcpu->msrs || carry_base_may_differ(&to->kvm, from))
        code = carry_msrs(&to->kvm, from, &space->msrs, what);
    if (code == 0 && to->seldom != vcpu->seldom) {
        if (space->seldom.count == 0)
            carry_find_seldom_msrs(&space->seldom, from);
        code = carry_msrs(&to->kvm, from, &space->seldom, what);
    }
    if (code != 0)
        return code;
    to->msrs = vcpu->msrs;
    to->seldom = vcpu->seldom;
    return 0;
}

int view_vcpu_hand_over(struct view_vcpu *vcpu, struct view_core *to, bool is_new,
                        enum view_carry what)
{
    struct view_core *from = vcpu->core;
    int code = 0;

    if (!to->used) {
        what = CARRY_ALL;
        if (!is_new)
            code = view_core_make_fresh(to);
    }
    if (code == 0 && what == CARRY_ALL)
        code = carry_rest(&to->kvm, &from->kvm);
    if (code == 0)
        code = hand_msrs_over(vcpu, to, what);
    if (code != 0)
        return code;
    step_elsewhere(&to->step);
    to->ask = &to->nobody;
    if (vcpu->space->config.host->paging.kind == PAGING_HARDWARE)
        code = empty_tlb(vcpu, to, is_new);
    if (code != 0)
        return code;
    carry_run_page(&to->kvm, &from->kvm);
    to->used = true;
    vcpu->core = to;
    vcpu->kvm = &to->kvm;
    return 0;
}
