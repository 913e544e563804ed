/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/callbacks/callbacks.h"

#include "host/hot.h"
#include "vmm/exits/drain.h"
#include "vmm/exits/trace.h"
#include "vmm/l2_run.h"
#include "vmm/machine_state.h"
#include "vmm/vmcs/vmcs12.h"
#include "vmm/vmcs/x86.h"

static uint64_t direction_of(const struct l2_exit *exit)
{
    switch (exit->reason) {
    case MEZZ_EXIT_IO:
        return !!(exit->qualification & MEZZ_IO_IN);
    case MEZZ_EXIT_EPT_VIOLATION:
        return !(exit->qualification & MEZZ_EPT_VIOLATION_WRITE);
    default:
        return exit->reason == MEZZ_EXIT_RDMSR;
    }
}

/* What a condition's field is of. */
struct subject {
    const struct callback *callback;
    struct l2_vcpu *vcpu;
};

HOT static uint64_t field_value(void *context, unsigned int field)
{
    const struct subject *subject = context;
    const struct callback *callback = subject->callback;
    struct l2_vcpu *vcpu = subject->vcpu;
    const struct l2_exit *exit = &vcpu->exit;
    const struct kvm_sync_regs *registers = &vcpu->kvm->run->s.regs;

    switch ((enum mezz_condition_field)field) {
    case MEZZ_FIELD_QUALIFICATION:
        return exit->qualification;
    case MEZZ_FIELD_GPA:
        return exit->gpa;
    case MEZZ_FIELD_RIP:
        l2_settle(vcpu);
        kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_REGS);
        return vcpu->kvm->run->s.regs.regs.rip;
    case MEZZ_FIELD_CPL:
        kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_SREGS);
        return registers->sregs.ss.dpl;
    case MEZZ_FIELD_CR3:
        kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_SREGS);
        return registers->sregs.cr3;
    case MEZZ_FIELD_VIEW:
        return vcpu->ept.eptp_index;
    case MEZZ_FIELD_PORT:
        return (uint16_t)(exit->qualification >> MEZZ_IO_PORT_SHIFT);
    case MEZZ_FIELD_SIZE:
        return exit->size;
    case MEZZ_FIELD_DIRECTION:
        return direction_of(exit);
    case MEZZ_FIELD_VALUE:
        return exit->value;
    case MEZZ_FIELD_MSR:
        return exit->msr;
    case MEZZ_FIELD_ACCESS:
        return exit->qualification & 7;
    case MEZZ_FIELD_COUNT:
        return callback->history.since_firing;
    case MEZZ_FIELD_TIME:
        return machine_time(vcpu->l2->machine) - callback->history.fired_at;
    case MEZZ_FIELD_END:
        break;
    }
    return 0;
}

HOT bool callback_holds(struct callback *callback, struct l2_vcpu *vcpu)
{
    struct subject subject = {callback, vcpu};
    int failed;

    callback->asking++;
    failed = conditions_evaluate(&callback->registration, field_value, &subject);
    callback->asking--;
    if (failed < 0)
        return true;
    callback->counters.failed[failed]++;
    trace_write(vcpu, TRACE_CONDITION, callback->id, failed);
    return false;
}

COLD static void fill_records(struct mezz_callback_frame *frame, struct callback *callback,
                              struct l2_vcpu *vcpu)
{
    uint32_t more;

    frame->sync_count = sync_deliver(vcpu, frame->sync, &more);
    frame->sync_more = more;
    callback->counters.sync_records += frame->sync_count;
}

static void fill_state(struct mezz_callback_frame *frame, uint64_t mask, struct l2_vcpu *vcpu)
{
    if (mask & MEZZ_GROUP_BIT(MEZZ_GROUP_REGS))
        vmcs12_regs_from_run(&frame->regs, vcpu->kvm);
    if (mask & MEZZ_GROUP_BIT(MEZZ_GROUP_SYSTEM))
        vmcs12_system_from_run(&frame->system, vcpu->kvm);
    if (mask & MEZZ_GROUP_BIT(MEZZ_GROUP_EVENTS))
        vmcs12_events_from_run(&frame->events, vcpu);
}

static void fill_frame(struct callback *callback, struct l2_vcpu *vcpu, uint64_t now)
{
    struct mezz_callback_frame *frame = callback->frame;
    uint64_t mask = callback->registration.state_mask;

    frame->callback = callback->id;
    frame->l2 = vcpu->l2->id;
    frame->vcpu = vcpu->id;
    frame->view = vcpu->ept.eptp_index;
    frame->time = now;
    frame->cookie = callback->registration.cookie;
    vmcs12_exit_fill(&frame->exit, vcpu);
    if (callback->vectoring)
        vmcs12_exit_fill_vectoring(&frame->exit, vcpu);
    frame->state_mask = mask;
    frame->sync_count = 0;
    frame->sync_more = 0;
    if (sync_waits(vcpu))
        fill_records(frame, callback, vcpu);
    if (mask != 0)
        fill_state(frame, mask, vcpu);
}

/* L1's registers at the start of a handler. Each field by itself: the compiler would clear the
 * whole with a string instruction, and those are slow for so little. */
static void put_at_handler(struct kvm_regs *regs, const struct mezz_callback_registration *r,
                           const struct l2_exit *exit)
{
    regs->rax = 0;
    regs->rbx = 0;
    regs->rcx = exit->value;
    regs->rdx = exit->qualification;
    regs->rsi = exit->reason;
    regs->rdi = r->frame;
    regs->rsp = r->stack;
    regs->rbp = 0;
    regs->r8 = r->cookie;
    regs->r9 = 0;
    regs->r10 = 0;
    regs->r11 = 0;
    regs->r12 = 0;
    regs->r13 = 0;
    regs->r14 = 0;
    regs->r15 = 0;
    regs->rip = r->handler;
    regs->rflags = RFLAGS_FIXED;
}

/* The root has handled the exit: lets KVM end the instruction, and notes what that did to the VMCS.
 * Elements of a string I/O that are still to come end it later, unless the handler has to see
 * registers. */
static void finish_handled(struct l2_vcpu *vcpu, uint64_t state_mask)
{
    if (vcpu->string.left > 0 && !(state_mask & MEZZ_GROUP_BIT(MEZZ_GROUP_REGS)))
        return;
    l2_progress(vcpu);
    if (!vcpu->kvm_pending)
        sync_note_progress(vcpu);
}

/* Until the handler has left the vCPUs that were there before. False: the machine ended first. */
COLD static bool await_turn(struct machine *machine, const struct callback *callback,
                            uint32_t number)
{
    while (callback->turn != number && !machine->ended)
        pthread_cond_wait(&machine->changed, &machine->lock);
    return !machine->ended;
}

void callback_forget_waiting(struct machine *machine, const struct callback *callback,
                             const struct l1_vcpu *but)
{
    for (unsigned int i = 0; i < machine->l1_count; i++)
        if (machine->l1[i]->waits == callback && machine->l1[i] != but)
            machine->l1[i]->waits = NULL;
}

/* The registration is in use from here on. */
static uint64_t note_firing(const struct machine *machine, struct callback *callback)
{
    callback->history.since_firing = 0;
    callback->counters.fired++;
    if (callback->registration.mode != MEZZ_MODE_OBSERVE && !callback->timed)
        return 0;
    return callback->history.fired_at = machine_time(machine);
}

HOT void callback_deliver(struct l1_vcpu *l1, struct l2_vcpu *vcpu, struct callback *callback)
{
    const struct mezz_callback_registration *r = &callback->registration;
    const bool observes = r->mode == MEZZ_MODE_OBSERVE;
    const uint32_t number = callback->turns++;
    const uint64_t now = note_firing(l1->machine, callback);

    if (observes)
        finish_handled(vcpu, r->state_mask);
    else if (r->state_mask & MEZZ_GROUP_BIT(MEZZ_GROUP_REGS))
        l2_settle(vcpu);
    if (callback->turn != number && !await_turn(l1->machine, callback, number))
        return;
    if (l1->machine->l1_count > 1)
        callback_forget_waiting(l1->machine, callback, l1);
    trace_write(vcpu, TRACE_CALLBACK, callback->id, 0);
    fill_frame(callback, vcpu, observes ? now : 0);
    vcpu->asked = callback;
    l1->mode = L1_IN_HANDLER;
    l1->handler_number++;
    if (l1->waits == callback)
        return;
    l1->waits = NULL;
    put_at_handler(&l1->kvm.run->s.regs.regs, r, &vcpu->exit);
    kvm_vcpu_replaced(&l1->kvm, KVM_SYNC_X86_REGS);
}
