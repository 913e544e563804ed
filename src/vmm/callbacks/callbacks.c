/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/callbacks/callbacks.h"

#include <stdlib.h>
#include <string.h>

#include "host/hot.h"
#include "mezz/errors.h"
#include "vmm/exits/trace.h"
#include "vmm/l2_run.h"
#include "vmm/machine_state.h"
#include "vmm/vmcs/vmcs12.h"
#include "vmm/vmcs/x86.h"

/* Room that a handler must have on its stack. */
#define STACK_MINIMUM 512

/* Registrations that are gone, or were replaced, and still have a line in an L2's report. */
#define CALLBACK_REPORTS (4 * MEZZ_MAX_CALLBACKS)

#define bit(number)      (1ULL << (number))

/* Exits that this root gives to L1, and those that stock KVM keeps from every root. */
enum reason_support {
    SUPPORT_NONE,
    SUPPORT_GIVEN,
    SUPPORT_KEPT_BY_KVM
};

static const uint8_t reason_support[REASON_INDEX_COUNT] = {
    [MEZZ_EXIT_EXCEPTION] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_EXTERNAL_INTERRUPT] = SUPPORT_GIVEN,
    [MEZZ_EXIT_TRIPLE_FAULT] = SUPPORT_GIVEN,
    [MEZZ_EXIT_INTERRUPT_WINDOW] = SUPPORT_GIVEN,
    [MEZZ_EXIT_TASK_SWITCH] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_CPUID] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_HLT] = SUPPORT_GIVEN,
    [MEZZ_EXIT_INVD] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_INVLPG] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_RDPMC] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_RDTSC] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_VMCALL] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_CR_ACCESS] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_DR_ACCESS] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_IO] = SUPPORT_GIVEN,
    [MEZZ_EXIT_RDMSR] = SUPPORT_GIVEN,
    [MEZZ_EXIT_WRMSR] = SUPPORT_GIVEN,
    [MEZZ_EXIT_MONITOR_TRAP] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_PAUSE] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_EPT_VIOLATION] = SUPPORT_GIVEN,
    [MEZZ_EXIT_EPT_MISCONFIG] = SUPPORT_GIVEN,
    [MEZZ_EXIT_RDTSCP] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_PREEMPTION_TIMER] = SUPPORT_GIVEN,
    [MEZZ_EXIT_WBINVD] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_XSETBV] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_SDM_COUNT + MEZZ_EXIT_EMULATION_FAILURE - MEZZ_EXIT_OWN_FIRST] = SUPPORT_GIVEN,
    [MEZZ_EXIT_SDM_COUNT + MEZZ_EXIT_GATE - MEZZ_EXIT_OWN_FIRST] = SUPPORT_GIVEN,
    [MEZZ_EXIT_SDM_COUNT + MEZZ_EXIT_GUARD - MEZZ_EXIT_OWN_FIRST] = SUPPORT_GIVEN,
    [MEZZ_EXIT_SDM_COUNT + MEZZ_EXIT_PORTION - MEZZ_EXIT_OWN_FIRST] = SUPPORT_GIVEN,
};

static int check_reason(uint32_t reason)
{
    int index = reason & MEZZ_EXIT_ENTRY_FAILED ? -1 : reason_index(reason);

    if (index < 0 || reason_support[index] == SUPPORT_NONE)
        return MEZZ_E_REASON;
    return reason_support[index] == SUPPORT_KEPT_BY_KVM ? MEZZ_E_REASON_KVM : 0;
}

static int check_addresses(const struct machine *machine,
                           const struct mezz_callback_registration *r)
{
    if (!l1_contains(&machine->l1_memory, l1_at(r->handler), 1))
        return MEZZ_E_HANDLER;
    if (r->stack % 16 != 0 || r->frame % PAGE_SIZE != 0)
        return MEZZ_E_ALIGNMENT;
    if (r->stack < STACK_MINIMUM ||
        !l1_contains(&machine->l1_memory, l1_at(r->stack - STACK_MINIMUM), STACK_MINIMUM) ||
        !l1_contains(&machine->l1_memory, l1_at(r->frame), sizeof(struct mezz_callback_frame)))
        return MEZZ_E_STACK;
    return 0;
}

static int check_registration(const struct machine *machine,
                              const struct mezz_callback_registration *r)
{
    int error = check_reason(r->reason);

    if (error == 0 && r->mode != MEZZ_MODE_OBSERVE && r->mode != MEZZ_MODE_DECIDE)
        error = MEZZ_E_MODE;
    if (error == 0)
        error = check_addresses(machine, r);
    if (error == 0 && r->state_mask & ~MEZZ_STATE_MASK_ALLOWED)
        error = MEZZ_E_STATE_MASK;
    return error != 0 ? error : conditions_check(r);
}

static void unlink_callback(struct callback *callback)
{
    struct callback **at = &callback->l2->callbacks[reason_index(callback->registration.reason)];

    while (*at != callback)
        at = &(*at)->next;
    *at = callback->next;
}

static void link_callback(struct callback *callback)
{
    struct callback **at = &callback->l2->callbacks[reason_index(callback->registration.reason)];

    while (*at != NULL && (*at)->registration.order <= callback->registration.order)
        at = &(*at)->next;
    callback->next = *at;
    *at = callback;
}

/* SDM 28.2.4: an exit that an instruction makes by itself does not come in the middle of an event.
 */
static bool may_be_in_delivery(uint32_t reason)
{
    return reason != MEZZ_EXIT_IO && reason != MEZZ_EXIT_HLT && reason != MEZZ_EXIT_RDMSR &&
           reason != MEZZ_EXIT_WRMSR;
}

static void fill_callback(struct callback *callback, struct machine *machine, struct l2 *l2,
                          const struct mezz_callback_registration *r)
{
    *callback = (struct callback){
        .l2 = l2,
        .id = callback->id,
        .registration = *r,
        .frame = l1_pointer(&machine->l1_memory, l1_at(r->frame), sizeof(*callback->frame)),
        .counts = &l2->record->report.exits[reason_index(r->reason)],
        .timed = conditions_needs(r) & bit(MEZZ_FIELD_TIME),
        .vectoring =
            may_be_in_delivery(r->reason) || r->state_mask & MEZZ_GROUP_BIT(MEZZ_GROUP_EVENTS),
        .history.fired_at = machine_time(machine),
    };
}

/* Another one may get its address, or another vCPU its stack. */
static void forget_waiting(struct machine *machine, const struct callback *callback,
                           const struct l1_vcpu *but)
{
    for (unsigned int i = 0; i < machine->l1_count; i++)
        if (machine->l1[i]->waits == callback && machine->l1[i] != but)
            machine->l1[i]->waits = NULL;
}

static int64_t replace_callback(struct machine *machine, struct l2 *l2,
                                const struct mezz_callback_registration *r)
{
    struct callback *callback = callback_find(machine, r->replace);

    if (callback == NULL || callback->l2 != l2 || callback->registration.reason != r->reason)
        return -MEZZ_E_ID;
    if (callback_in_use(callback))
        return -MEZZ_E_BUSY;
    callback_report(callback);
    forget_waiting(machine, callback, NULL);
    unlink_callback(callback);
    fill_callback(callback, machine, l2, r);
    link_callback(callback);
    return callback->id;
}

int64_t callback_register(struct machine *machine, const struct mezz_callback_registration *r)
{
    struct l2 *l2 = l2_find(machine, r->l2);
    struct callback *callback;
    unsigned int index = 0;
    int error;

    if (l2 == NULL)
        return -MEZZ_E_ID;
    error = check_registration(machine, r);
    if (error != 0)
        return -error;
    if (r->replace != 0)
        return replace_callback(machine, l2, r);
    while (index < MEZZ_MAX_CALLBACKS && machine->callback[index] != NULL)
        index++;
    if (index == MEZZ_MAX_CALLBACKS)
        return -MEZZ_E_LIMIT;
    callback = calloc(1, sizeof(*callback));
    if (callback == NULL)
        return -MEZZ_E_HOST;
    callback->id = index + 1;
    fill_callback(callback, machine, l2, r);
    link_callback(callback);
    machine->callback[index] = callback;
    return callback->id;
}

void callback_report(const struct callback *callback)
{
    struct l2_record *record = callback->l2->record;
    struct callback_report *grown;

    /* L1 may register and unregister as often as it likes. */
    if (record->report.callback_count == CALLBACK_REPORTS)
        return;
    grown = realloc(record->callbacks, (record->report.callback_count + 1) * sizeof(*grown));
    /* A report that lacks a line is better than a machine that ends for it. */
    if (grown == NULL)
        return;
    record->callbacks = grown;
    grown[record->report.callback_count++] = (struct callback_report){
        .id = callback->id,
        .reason = callback->registration.reason,
        .mode = callback->registration.mode,
        .order = callback->registration.order,
        .conditions = callback->registration.condition_count,
        .counters = callback->counters,
    };
}

static void remove_callback(struct machine *machine, struct callback *callback)
{
    callback_report(callback);
    forget_waiting(machine, callback, NULL);
    unlink_callback(callback);
    machine->callback[callback->id - 1] = NULL;
    free(callback);
}

int64_t callback_unregister(struct machine *machine, uint64_t id)
{
    struct callback *callback = callback_find(machine, id);

    if (callback == NULL)
        return -MEZZ_E_ID;
    if (callback_in_use(callback))
        return -MEZZ_E_BUSY;
    remove_callback(machine, callback);
    return 0;
}

struct callback *callback_find(struct machine *machine, uint64_t id)
{
    return id == 0 || id > MEZZ_MAX_CALLBACKS ? NULL : machine->callback[id - 1];
}

void callbacks_remove_all(struct l2 *l2)
{
    for (unsigned int i = 0; i < MEZZ_MAX_CALLBACKS; i++)
        if (l2->machine->callback[i] != NULL && l2->machine->callback[i]->l2 == l2)
            remove_callback(l2->machine, l2->machine->callback[i]);
}

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
    l2_progress_or_end(vcpu);
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
        forget_waiting(l1->machine, callback, l1);
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
