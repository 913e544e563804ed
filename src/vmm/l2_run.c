/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/l2_run.h"

#include <errno.h>
#include <string.h>

#include "host/hot.h"
#include "mezz/errors.h"
#include "vmm/exits/drain.h"
#include "vmm/exits/ept_violation.h"
#include "vmm/exits/exit_rules.h"
#include "vmm/exits/paging_tables.h"
#include "vmm/exits/trace.h"
#include "vmm/l2_policy.h"
#include "vmm/machine_state.h"
#include "vmm/vmcs/vmcs12.h"

/* Of vcpu->exit, which always is a reason that there is. */
HOT static unsigned int reason_of(const struct l2_vcpu *vcpu)
{
    int index = reason_index(vcpu->exit.reason);

    return index < 0 ? MEZZ_EXIT_EXCEPTION : (unsigned int)index;
}

HOT static struct exit_counts *counts_of(const struct l2_vcpu *vcpu, unsigned int reason)
{
    return &vcpu->l2->record->report.exits[reason];
}

void l2_settle(struct l2_vcpu *vcpu)
{
    if (vcpu->exit.flags & MEZZ_EXIT_RETIRED)
        l2_drain(vcpu);
}

/* EPT12 may have got what was missing. */
static bool access_now(struct l2_vcpu *vcpu, uint64_t *data)
{
    const struct l2_exit *exit = &vcpu->exit;
    bool write = exit->qualification & MEZZ_EPT_VIOLATION_WRITE;

    return space_view_access(vcpu->place.view, l2_at(exit->gpa), write, data, exit->size) == 0;
}

void l2_complete_access(struct l2_vcpu *vcpu, uint64_t value, bool fault)
{
    struct l2_exit *exit = &vcpu->exit;

    if (exit->done)
        return;
    exit->done = true;
    if (exit->reason == MEZZ_EXIT_PORTION || exit->reason == MEZZ_EXIT_GUARD) {
        l2_policies_answered(vcpu, value);
        return;
    }
    if (exit->reason == MEZZ_EXIT_EPT_VIOLATION && exit->size != 0) {
        uint64_t data = exit->value;

        if (access_now(vcpu, &data))
            value = data;
    }
    if (exit->flags & MEZZ_EXIT_PENDING)
        l2_exit_answer(exit, value, fault);
}

/* Ends MEZZ_CALL_ENTER: L1 runs on behind its call. */
static void leave(struct l1_vcpu *l1, struct l2_vcpu *vcpu, int64_t status)
{
    vcpu->entered = false;
    vcpu->asked = NULL;
    vcpu->l2->entered--;
    l1->entered = NULL;
    l1->due = 0;
    l1->mode = L1_RUNNING;
    l1->waits = NULL;
    l1->kvm.run->s.regs.regs = l1->entry_regs;
    l1->kvm.run->s.regs.regs.rax = (uint64_t)status;
    kvm_vcpu_replaced(&l1->kvm, KVM_SYNC_X86_REGS);
}

/* STOP_L2 of a handler that observes: the exit was counted when the root handled it. */
static bool was_counted(const struct l2_vcpu *vcpu)
{
    return vcpu->asked != NULL && vcpu->asked->registration.mode == MEZZ_MODE_OBSERVE;
}

void l2_reflect(struct l1_vcpu *l1, struct l2_vcpu *vcpu)
{
    if (!was_counted(vcpu))
        counts_of(vcpu, reason_of(vcpu))->reflect++;
    trace_write(vcpu, TRACE_REFLECT, 0, 0);
    if (vcpu->exit.reason & MEZZ_EXIT_ENTRY_FAILED) {
        vmcs12_store_failure(vcpu);
    } else {
        l2_settle(vcpu);
        vmcs12_store(vcpu);
    }
    leave(l1, vcpu, 0);
}

COLD static void fail_entry(struct l1_vcpu *l1, struct l2_vcpu *vcpu, uint64_t check)
{
    /* Of an INS, what L1 has answered so far is taken, and the rest begins anew with the next
     * entry: its elements lie in a run page that may be gone by then. */
    if (vcpu->string.left > 0 && vcpu->exit.flags & MEZZ_EXIT_PENDING)
        l2_drain(vcpu);
    if (l1->machine->ended)
        return;
    vcpu->exit = (struct l2_exit){
        .reason = MEZZ_EXIT_INVALID_GUEST_STATE | MEZZ_EXIT_ENTRY_FAILED,
        .qualification = check,
        .done = true,
    };
    vcpu->exit_count++;
    l2_reflect(l1, vcpu);
}

/* An interrupt for L1 ends L2's run, and the exit takes it. */
static bool interrupt_exits(const struct l1_vcpu *l1, const struct l2_vcpu *vcpu)
{
    return l1->interrupt != 0 && vcpu->controls.pin_based & MEZZ_PIN_EXTERNAL_INTERRUPT_EXITING;
}

/* ENTER's error instead of an exit: the VMCS12 is as L1 left it. */
COLD static void leave_stopped(struct l1_vcpu *l1, struct l2_vcpu *vcpu)
{
    vcpu->vmcs12->abort = MEZZ_E_STATE;
    leave(l1, vcpu, -MEZZ_E_STATE);
}

void l2_stop(struct l2_vcpu *vcpu)
{
    const struct machine *machine = vcpu->l2->machine;

    vcpu->l2->stopped = true;
    for (unsigned int i = 0; i < machine->l1_count; i++) {
        struct l1_vcpu *l1 = machine->l1[i];

        if (l1->entered == NULL || l1->entered == vcpu || l1->entered->l2 != vcpu->l2)
            continue;
        l1->due |= DUE_STOP;
        l1_vcpu_kick(l1);
    }
}

/* What exits before L2 runs on: the rest of an instruction, then the times, then an interrupt. An
 * L2 that was stopped does not even get that far. */
static bool next_exit(struct l1_vcpu *l1, struct l2_vcpu *vcpu)
{
    if (l1->due & DUE_STOP) {
        leave_stopped(l1, vcpu);
        return false;
    }
    if (l2_exit_next(vcpu))
        return true;
    if (l1->due & DUE_POLICY) {
        l1->due &= ~DUE_POLICY;
        if (machine_time(l1->machine) >= vcpu->policy_at)
            l2_policies_tick(vcpu);
        if (l1->machine->ended)
            return false;
    }
    if (l1->due & DUE_TIMER) {
        l1->due &= ~DUE_TIMER;
        vcpu->preempt_at = UINT64_MAX;
        l2_drain(vcpu);
        vcpu->exit = (struct l2_exit){.reason = MEZZ_EXIT_PREEMPTION_TIMER, .done = true};
        return true;
    }
    if (interrupt_exits(l1, vcpu)) {
        l2_drain(vcpu);
        vcpu->exit = (struct l2_exit){.reason = MEZZ_EXIT_EXTERNAL_INTERRUPT,
                                      .interruption_info = l1->interrupt,
                                      .done = true};
        l1->interrupt = 0;
        return true;
    }
    return false;
}

/* Dispatches vcpu->exit: the root handles it, a handler is asked, or it is reflected. False: L2
 * does not run on now. */
HOT static bool dispatch(struct l1_vcpu *l1, struct l2_vcpu *vcpu)
{
    unsigned int reason = reason_of(vcpu);
    const bool handled = exit_rule_apply(vcpu, reason) == ROOT_HANDLED;
    struct callback *callback;

    /* It may have become another exit: one that is left to L1, or by a policy. */
    if (!handled || vcpu->l2->policy != NULL)
        reason = reason_of(vcpu);
    callback = vcpu->l2->callbacks[reason];
    /* Of an L2 that has ended there is nothing to decide. */
    if (!handled && vcpu->l2->stopped)
        callback = NULL;
    if (callback != NULL)
        callback = callback_choose(vcpu, callback, handled ? MEZZ_MODE_OBSERVE : MEZZ_MODE_DECIDE);
    vcpu->exit_count++;
    if (handled) {
        counts_of(vcpu, reason)->root++;
        trace_write(vcpu, TRACE_ROOT, 0, 0);
    }
    if (!l2_has_registers(vcpu))
        return false;
    if (handled && callback == NULL)
        return true;
    if (l1->machine->ended)
        return false;
    if (callback != NULL)
        callback_deliver(l1, vcpu, callback);
    else
        l2_reflect(l1, vcpu);
    return false;
}

void l2_dispatch_rest(struct l1_vcpu *l1, struct l2_vcpu *vcpu)
{
    while (!l1->machine->ended && next_exit(l1, vcpu) && dispatch(l1, vcpu))
        ;
}

int l2_enter(struct l1_vcpu *l1, struct l2_vcpu *vcpu)
{
    const struct mezz_vmcs12_completion completion = vcpu->vmcs12->completion;
    uint64_t check = 0;
    int error;

    if (vcpu->entered)
        return MEZZ_E_BUSY;
    if (vcpu->l2->stopped)
        return MEZZ_E_STATE;
    /* The load may wait for a turn, while other L1 vCPUs are served. */
    vcpu->entered = true;
    vcpu->l2->entered++;
    l1->entered = vcpu;
    l1->entry_regs = l1->kvm.run->s.regs.regs;
    l2_complete(vcpu, completion.value, completion.flags & MEZZ_COMPLETION_FAULT);
    error = vmcs12_load(vcpu, &check);
    if (error > 0) {
        vcpu->entered = false;
        vcpu->l2->entered--;
        l1->entered = NULL;
        l1->due = 0;
        return error;
    }
    l1->mode = L1_ENTERED;
    if (error < 0) {
        fail_entry(l1, vcpu, check);
        return 0;
    }
    vcpu->preempt_at = UINT64_MAX;
    if (vcpu->controls.pin_based & MEZZ_PIN_PREEMPTION_TIMER) {
        vcpu->preempt_at = machine_time(l1->machine) + 1000ULL * vcpu->controls.preemption_timer;
        if (vcpu->controls.preemption_timer == 0)
            l1->due |= DUE_TIMER;
        l1_timer_not_after(l1, vcpu->preempt_at);
    }
    if (vcpu->policy_at != UINT64_MAX)
        l1_timer_not_after(l1, vcpu->policy_at);
    l2_resume(l1, vcpu);
    return 0;
}

/* EPT12 was right when L2 was entered, and INVEPT or an edit had it read again. */
COLD static void lost_view(struct l1_vcpu *l1, struct l2_vcpu *vcpu, int error)
{
    l2_drain(vcpu);
    vcpu->exit = (struct l2_exit){
        .reason = MEZZ_EXIT_EPT_MISCONFIG,
        .qualification = (uint64_t)(error < 0 ? MEZZ_E_HOST : error),
        .done = true,
    };
    if (dispatch(l1, vcpu))
        l2_resume(l1, vcpu);
}

HOT static void decoded(struct l1_vcpu *l1, struct l2_vcpu *vcpu)
{
    const bool exits =
        !paging_open_tables(vcpu, true) || vcpu->exit.reason != MEZZ_EXIT_EMULATION_FAILURE;

    /* Otherwise the processor can run it now. */
    if (exits && dispatch(l1, vcpu) && l2_something_waits(l1, vcpu))
        l2_dispatch_rest(l1, vcpu);
}

HOT static void exited(struct l1_vcpu *l1, struct l2_vcpu *vcpu)
{
    l2_exit_decode(vcpu);
    if (vcpu->exit.reason != MEZZ_EXIT_EMULATION_FAILURE || !view_vcpu_make_exact(&vcpu->place))
        decoded(l1, vcpu);
}

/* KVM cannot have what the guest accesses. If that is its code, no slot has to tell so. False: it
 * is no matter of a view. */
COLD static bool withheld(struct l1_vcpu *l1, struct l2_vcpu *vcpu)
{
    if (!view_vcpu_is_soft(&vcpu->place))
        return false;
    vcpu->kvm->run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
    l2_exit_decode(vcpu);
    if (vcpu->exit.reason == MEZZ_EXIT_EPT_VIOLATION && vcpu->exit.linear == l2_linear_rip(vcpu))
        decoded(l1, vcpu);
    else
        view_vcpu_make_exact(&vcpu->place);
    return true;
}

COLD static void interrupted(struct l1_vcpu *l1, struct l2_vcpu *vcpu)
{
    vcpu->kvm_pending = vcpu->halted ? vcpu->kvm_pending : false;
    paging_open_tables(vcpu, false);
    l1_check_time(l1);
    if (l1->machine->ended)
        return;
    if (emulation_stands_still(vcpu)) {
        if (dispatch(l1, vcpu))
            l2_resume(l1, vcpu);
    } else if (l2_policies_end_quiet(vcpu)) {
        vcpu->exit_count++;
        l2_reflect(l1, vcpu);
    } else if (!l1->machine->ended) {
        l2_resume(l1, vcpu);
    }
}

HOT void l2_step(struct l1_vcpu *l1)
{
    struct l2_vcpu *vcpu = l1->entered;
    int result = -EINTR;
    bool own = false;

    if (vcpu->halted) {
        l1_wait(l1);
    } else {
        int error = l2_view_prepare(vcpu);

        if (error != 0 && error != -EAGAIN)
            lost_view(l1, vcpu, error);
        if (error != 0)
            return;
        result = l1_run(l1, vcpu->kvm, &vcpu->run_tsc);
        own = l2_view_after(vcpu);
    }
    if (l1->machine->ended || own)
        return;
    if (result == -EFAULT && withheld(l1, vcpu))
        return;
    if (result == 0) {
        exited(l1, vcpu);
    } else if (result == -EINTR) {
        interrupted(l1, vcpu);
    } else if (!l2_has_registers(vcpu)) {
        return;
    } else if (result == -EINVAL || result == -ENOSPC) {
        /* KVM refused what the root's checks let through: registers, or an L2 without any page. */
        fail_entry(l1, vcpu, MEZZ_CHECK_HOST);
    } else {
        machine_end(l1->machine, MACHINE_HOST, "KVM_RUN of L2 %s: %s", vcpu->l2->name,
                    strerror(-result));
    }
}
