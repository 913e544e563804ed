/* SPDX-License-Identifier: Apache-2.0 */
#include "host/hot.h"
#include "mezz/errors.h"
#include "vmm/callbacks/callbacks.h"
#include "vmm/exits/drain.h"
#include "vmm/l2_gate.h"
#include "vmm/l2_log.h"
#include "vmm/l2_policy.h"
#include "vmm/l2_run.h"
#include "vmm/machine_state.h"
#include "vmm/vmcs/entry_checks.h"
#include "vmm/vmcs/vmcs12.h"
#include "vmm/vmcs/x86.h"

/* The end of a handler: everything is decided before anything is done. */
struct answer {
    uint64_t value;
    bool fault;
    bool load_regs;
    const struct mezz_vmcs12_regs *regs; /* a copy, with load_regs */
    uint32_t event;
    uint32_t error_code;
};

typedef int64_t action_function(struct l1_vcpu *l1, struct l2_vcpu *vcpu, struct answer *answer);

/* The next vCPU of L1 may have it, or L1 may take it away. */
static void release(struct callback *callback, struct machine *machine)
{
    callback->turn++;
    if (callback->turn != callback->turns)
        pthread_cond_broadcast(&machine->changed);
}

static void leave_handler(struct l2_vcpu *vcpu)
{
    struct callback *callback = vcpu->asked;

    release(callback, vcpu->l2->machine);
    if (callback->registration.mode == MEZZ_MODE_DECIDE)
        callback->counts->callback++;
}

/* Ends the exit and puts the handler's state in place; KVM ends its instruction first. */
static int64_t apply(struct l2_vcpu *vcpu, const struct answer *answer)
{
    l2_complete(vcpu, answer->value, answer->fault);
    if (!answer->load_regs && !(answer->event & MEZZ_EVENT_VALID))
        return 0;
    if (l2_drain(vcpu) != 0)
        return -MEZZ_E_HOST;
    if (answer->load_regs)
        vmcs12_regs_to_run(vcpu->kvm, answer->regs);
    if (answer->event & MEZZ_EVENT_VALID) {
        l2_inject_event(vcpu, answer->event, answer->error_code);
    }
    return 0;
}

/* What all actions end with after which L2 runs on. */
static int64_t go_on(struct l1_vcpu *l1, struct l2_vcpu *vcpu, const struct answer *answer)
{
    int64_t error = apply(vcpu, answer);

    if (error != 0)
        return error;
    leave_handler(vcpu);
    l2_resume(l1, vcpu);
    return 0;
}

static int64_t action_resume(struct l1_vcpu *l1, struct l2_vcpu *vcpu, struct answer *answer)
{
    answer->event = 0;
    return go_on(l1, vcpu, answer);
}

static int64_t action_inject(struct l1_vcpu *l1, struct l2_vcpu *vcpu, struct answer *answer)
{
    const struct kvm_sync_regs *now = &vcpu->kvm->run->s.regs;
    struct mezz_vmcs12_events events;
    uint64_t rflags;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
    rflags = answer->load_regs ? answer->regs->guest_rflags : now->regs.rflags;
    vmcs12_events_from_run(&events, vcpu);
    /* KVM leaves the shadow of a STI or MOV SS when the instruction that exited retires. */
    if (vcpu->exit.flags & (MEZZ_EXIT_RETIRED | MEZZ_EXIT_PENDING))
        events.interruptibility_state &= ~(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS);
    if (!(answer->event & MEZZ_EVENT_VALID) ||
        entry_check_event(answer->event, answer->error_code, rflags, events.interruptibility_state,
                          now->sregs.cr0) != MEZZ_CHECK_NONE)
        return -MEZZ_E_EVENT;
    return go_on(l1, vcpu, answer);
}

static int64_t action_reflect(struct l1_vcpu *l1, struct l2_vcpu *vcpu, struct answer *answer)
{
    (void)answer;
    if (vcpu->asked->registration.mode != MEZZ_MODE_DECIDE)
        return -MEZZ_E_ACTION;
    release(vcpu->asked, l1->machine);
    l2_reflect(l1, vcpu);
    return 0;
}

static int64_t action_stop(struct l1_vcpu *l1, struct l2_vcpu *vcpu, struct answer *answer)
{
    (void)answer;
    release(vcpu->asked, l1->machine);
    l2_stop(vcpu);
    l2_reflect(l1, vcpu);
    return 0;
}

/* An access that the view refused is done in the other one: a read runs again there, as a fetch
 * does; of a write, which has retired, the root has the data. Any other exit is ended first, and
 * reads ones. */
static int end_for_other_view(struct l2_vcpu *vcpu, bool fault)
{
    const struct l2_exit *exit = &vcpu->exit;

    if (exit->reason != MEZZ_EXIT_EPT_VIOLATION || exit->done)
        l2_complete(vcpu, UINT64_MAX, fault);
    else if (exit->flags & MEZZ_EXIT_PENDING)
        return l2_abort_instruction(vcpu);
    return l2_drain(vcpu);
}

static void tell_switch(struct l2_vcpu *vcpu, const char *reason, bool refused, uint32_t from,
                        uint64_t to)
{
    const struct l2_view_event event = {1, reason, refused, from, to, l2_regs(vcpu)->rip};

    l2_log_view(vcpu, &event);
}

static int64_t action_switch_view(struct l1_vcpu *l1, struct l2_vcpu *vcpu, struct answer *answer)
{
    const struct space *space = vcpu->l2->space;
    const uint32_t from = vcpu->ept.eptp_index;
    int64_t error;

    if (answer->value >= space_list_count(space) || !space_list_has(space, (uint32_t)answer->value))
        return -MEZZ_E_VIEW;
    if (end_for_other_view(vcpu, answer->fault) != 0)
        return -MEZZ_E_HOST;
    error = l2_switch_view(vcpu, answer->value, CARRY_ALL);
    if (l1->machine->log != NULL)
        tell_switch(vcpu, error == 0 ? "callback" : "callback-view", error != 0, from,
                    answer->value);
    if (error != 0)
        return error < 0 ? -MEZZ_E_HOST : -error;
    answer->event = 0;
    return go_on(l1, vcpu, answer);
}

static int64_t action_next(struct l1_vcpu *l1, struct l2_vcpu *vcpu, struct answer *answer)
{
    struct callback *callback = vcpu->asked;
    uint32_t mode = callback->registration.mode;

    (void)answer;
    vcpu->asked = NULL;
    release(callback, l1->machine);
    callback = callback->next == NULL ? NULL : callback_choose(vcpu, callback->next, mode);
    if (callback != NULL)
        callback_deliver(l1, vcpu, callback);
    else if (mode == MEZZ_MODE_OBSERVE)
        l2_resume(l1, vcpu);
    else
        l2_reflect(l1, vcpu);
    return 0;
}

static action_function *const actions[MEZZ_ACTION_COUNT] = {
    [MEZZ_ACTION_RESUME] = action_resume, [MEZZ_ACTION_REFLECT] = action_reflect,
    [MEZZ_ACTION_INJECT] = action_inject, [MEZZ_ACTION_SWITCH_VIEW] = action_switch_view,
    [MEZZ_ACTION_STOP_L2] = action_stop,  [MEZZ_ACTION_NEXT] = action_next,
};

/* Whether L2 runs on behind the action, with what the flags load into it. */
static bool runs_on(uint64_t action)
{
    return action != MEZZ_ACTION_REFLECT && action != MEZZ_ACTION_STOP_L2 &&
           action != MEZZ_ACTION_NEXT;
}

COLD static int64_t carry_out(struct l1_vcpu *l1, struct l2_vcpu *vcpu, uint64_t action,
                              uint64_t value, uint64_t flags)
{
    const struct mezz_callback_frame *frame = vcpu->asked->frame;
    struct answer answer = {
        .value = value,
        .fault = flags & MEZZ_RETURN_FAULT,
        .load_regs = flags & MEZZ_RETURN_LOAD_REGS,
        .event = frame->entry_interruption_info,
        .error_code = frame->entry_exception_error_code,
    };
    struct mezz_vmcs12_regs regs;

    if (action == 0 || action >= MEZZ_ACTION_COUNT || flags & ~(uint64_t)MEZZ_RETURN_FLAGS)
        return -MEZZ_E_ACTION;
    if ((answer.load_regs || answer.fault) && !runs_on(action))
        return -MEZZ_E_ACTION;
    if (answer.fault && vcpu->exit.failure == NULL)
        return -MEZZ_E_ACTION;
    if (answer.load_regs) {
        struct mezz_vmcs12_system system;

        if (!(vcpu->asked->registration.state_mask & MEZZ_GROUP_BIT(MEZZ_GROUP_REGS)))
            return -MEZZ_E_ACTION;
        regs = frame->regs;
        answer.regs = &regs;
        vmcs12_system_from_run(&system, vcpu->kvm);
        if (entry_check_regs(&regs, &system) != MEZZ_CHECK_NONE)
            return -MEZZ_E_ACTION;
    }
    return actions[action](l1, vcpu, &answer);
}

HOT int64_t callback_return(struct l1_vcpu *l1, uint64_t action, uint64_t value, uint64_t flags)
{
    struct l2_vcpu *vcpu = l1->entered;
    struct callback *callback = vcpu->asked;
    int64_t error;

    l1->waits = flags & MEZZ_RETURN_STAY ? callback : NULL;
    /* What most handlers end with: nothing of it can be refused. */
    if (action == MEZZ_ACTION_RESUME && (flags & ~(uint64_t)MEZZ_RETURN_STAY) == 0) {
        l2_complete(vcpu, value, false);
        leave_handler(vcpu);
        l2_resume(l1, vcpu);
        return 0;
    }
    error = carry_out(l1, vcpu, action, value, flags);
    if (error != 0) {
        l1->waits = NULL;
        callback->counters.refused_returns++;
    }
    return error;
}
