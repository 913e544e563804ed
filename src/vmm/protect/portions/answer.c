/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "vmm/protect/portions/state.h"
#include "vmm/vmcs/x86.h"

#define VECTOR_INVALID    6U
#define VECTOR_PROTECTION 13U
#define VECTOR_PAGE_FAULT 14U
#define NO_CODE           (-1)
#define FAULT_PRESENT     (1U << 0)
#define FAULT_WRITE       (1U << 1)
#define FAULT_USER        (1U << 2)
/* CF, PF, AF, ZF, SF, DF, OF: what a program computes with; the rest of RFLAGS is the kernel's. */
#define PROGRAM_FLAGS 0xcd5ULL
#define ALL_ONES      UINT64_MAX
#define RFLAGS_DF     (1ULL << 10)

static int is_frame(void *context, const struct portion_guard_frame *frame)
{
    return *(const uint64_t *)context == frame->frame;
}

static bool is_of_portion(const struct portions *portions, uint64_t physical)
{
    uint64_t frame = physical & ~(PAGE_SIZE - 1);

    return portion_guard_each_frame(portions->guard, is_frame, &frame) != 0;
}

/* A word of the kernel's stack. Another vCPU may have put a portion's page there; and as none is
 * written, none is to be scanned again. */
static bool write_stack(struct portions *portions, uint64_t cr3, uint64_t linear, uint64_t value)
{
    const uint64_t writes = portions->memory.writes;
    uint64_t physical;
    bool written;

    if (linear % sizeof(value) != 0 ||
        guest_memory_translate(&portions->memory, cr3, linear, GUEST_ANY, &physical) != 0 ||
        is_of_portion(portions, physical))
        return false;
    written = guest_memory_write(&portions->memory, physical, &value, sizeof(value)) == 0;
    portions->memory.writes = writes;
    return written;
}

/* What the portion's last instruction found of its data is in RFLAGS, which were pushed. */
static void hide_flags(struct portions *portions, const struct portion_access_facts *facts)
{
    const struct kernel_entry *entry = &facts->entry;

    if (entry->flags_at != 0 && entry->rflags & PROGRAM_FLAGS)
        write_stack(portions, facts->access.cr3, entry->flags_at, entry->rflags & ~PROGRAM_FLAGS);
}

/* The kernel is given none of the portion's registers. */
static void hide_registers(struct l2_vcpu *vcpu)
{
    struct kvm_regs *regs = l2_regs(vcpu);
    uint64_t rsp = regs->rsp;

    memset(&regs->rax, 0, 16 * sizeof(uint64_t));
    regs->rsp = rsp;
    regs->rflags &= ~PROGRAM_FLAGS;
    l2_regs_changed(vcpu);
}

static void load_registers(struct l2_vcpu *vcpu, const struct portion_guard_outcome *outcome)
{
    const struct portion_guard_registers *from = &outcome->registers;
    struct kvm_regs *regs = l2_regs(vcpu);
    uint64_t rsp = regs->rsp;
    uint64_t rax = regs->rax;

    memcpy(&regs->rax, from->gpr, sizeof(from->gpr));
    regs->rsp = rsp;
    if (outcome->result)
        regs->rax = rax;
    regs->rflags = (regs->rflags & ~PROGRAM_FLAGS) | (from->rflags & PROGRAM_FLAGS);
    l2_regs_changed(vcpu);
}

/* The kernel is at its first instruction: the event was delivered, whatever KVM still says of it.
 */
static void end_delivery(struct l2_vcpu *vcpu)
{
    struct kvm_vcpu_events *events = &vcpu->kvm->run->s.regs.events;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_EVENTS);
    if (!events->interrupt.injected && !events->exception.injected && !events->nmi.injected)
        return;
    events->interrupt.injected = 0;
    events->exception.injected = 0;
    events->nmi.injected = 0;
    kvm_vcpu_replaced(vcpu->kvm, KVM_SYNC_X86_EVENTS);
}

/* This host makes an invalid opcode of a system call, for which a kernel would look at the
 * instruction: it lies in the portion. So the call is delivered as the processor would. */
static void deliver_call(struct portions *portions, struct l2_vcpu *vcpu,
                         const struct portion_access_facts *facts)
{
    const struct kernel_entry *entry = &facts->entry;

    if (!write_stack(portions, facts->access.cr3, entry->frame, entry->next_rip))
        return;
    l2_regs(vcpu)->rip = entry->call_handler;
    l2_regs_changed(vcpu);
}

/* Its own last instruction led out of the portion, also if the kernel is what runs next: what is in
 * the registers, the portion has given away. */
static bool went_by_itself(const struct portion_guard_outcome *outcome)
{
    const enum decision_reason reason = outcome->decision.reason;

    return reason == REASON_RETURN || reason == REASON_CALL_OUT || reason == REASON_LEFT;
}

/* A portion's code begins, and goes on behind its calls, with the flags that a compiler takes for
 * granted, whoever calls it or returns to it: copies go forward, and nothing stops it. */
static void set_flags(struct l2_vcpu *vcpu, const struct portion_guard_access *access,
                      const struct portion_guard_outcome *outcome)
{
    struct kvm_regs *regs = l2_regs(vcpu);
    uint64_t flags = regs->rflags;

    if (outcome->decision.to != 0)
        flags &= ~(RFLAGS_DF | PORTION_GUARD_CALLER_FLAGS);
    else if (access->cpl == 3)
        flags |= outcome->flags;
    if (flags == regs->rflags)
        return;
    regs->rflags = flags;
    l2_regs_changed(vcpu);
}

void portion_answer_switch(struct portions *portions, struct l2_vcpu *vcpu,
                           const struct portion_access_facts *facts,
                           const struct portion_guard_outcome *outcome)
{
    if (facts->entry.known)
        end_delivery(vcpu);
    if (outcome->from != 0 && !went_by_itself(outcome))
        hide_flags(portions, facts);
    if (outcome->restore)
        load_registers(vcpu, outcome);
    else if (facts->access.keep != NULL && !facts->access.system_call && outcome->from != 0 &&
             !went_by_itself(outcome))
        hide_registers(vcpu);
    else
        set_flags(vcpu, &facts->access, outcome);
    if (facts->entry.call_handler != 0 && outcome->from != 0)
        deliver_call(portions, vcpu, facts);
}

/* The program gets an exception in the place of the access, in the default view. */
static void raise_in_place(struct portions *portions, struct l2_vcpu *vcpu, unsigned int vector,
                           int64_t error_code)
{
    int code = l2_abort_instruction(vcpu);

    if (code == 0) {
        portion_leave_for_event(portions, vcpu, vector);
        code = l2_raise(vcpu, (uint8_t)vector, error_code);
    }
    if (code != 0)
        portion_fail(portions, code);
}

/* Does the data access on memory, whatever the view has. One exit does not cross a page. */
void portion_answer_serve(struct portions *portions, struct l2_vcpu *vcpu,
                          const struct portion_access_facts *facts)
{
    struct l2_exit *exit = &vcpu->exit;
    uint64_t data = exit->value;

    exit->done = true;
    if (exit->unserved) {
        raise_in_place(portions, vcpu, VECTOR_INVALID, NO_CODE);
        return;
    }
    if (facts->access.access == ACCESS_WRITE) {
        guest_memory_write(&portions->memory, exit->gpa, &data, exit->size);
        return;
    }
    data = ALL_ONES;
    guest_memory_read(&portions->memory, exit->gpa, &data, exit->size);
    l2_exit_answer(exit, data, false);
}

/* What lies at RSP is the program's own, and no word of a portion that it would get to see in RIP.
 */
static bool stack_is_open(const struct portions *portions,
                          const struct portion_guard_access *access)
{
    uint64_t frame;

    if (!access->stack_known || access->rsp % sizeof(access->stack) != 0 ||
        guest_memory_translate(&portions->memory, access->cr3, access->rsp, GUEST_READ | GUEST_USER,
                               &frame) != 0)
        return false;
    return !is_of_portion(portions, frame);
}

/* Lets a call end with -1. Of a portion's own, too: it is left for that, since where the stack
 * leads is the caller's choice, and is judged as any fetch from outside. */
static void fail_call(struct portions *portions, struct l2_vcpu *vcpu,
                      const struct portion_access_facts *facts)
{
    const struct portion_guard_access *access = &facts->access;
    struct kvm_regs *regs;

    if (!stack_is_open(portions, access)) {
        portion_answer_kill(portions, vcpu);
        return;
    }
    portion_leave_by_fetch(portions, vcpu, facts);
    regs = l2_regs(vcpu);
    regs->rip = access->stack;
    regs->rsp += sizeof(access->stack);
    regs->rax = ALL_ONES;
    l2_regs_changed(vcpu);
    vcpu->exit.done = true;
}

void portion_answer_error(struct portions *portions, struct l2_vcpu *vcpu,
                          const struct portion_access_facts *facts)
{
    const struct portion_guard_access *access = &facts->access;

    if (access->access == ACCESS_FETCH) {
        fail_call(portions, vcpu, facts);
    } else if (access->cpl == 0 && vcpu->exit.unserved) {
        raise_in_place(portions, vcpu, VECTOR_INVALID, NO_CODE);
    } else if (access->cpl == 0) {
        vcpu->exit.done = true;
        l2_exit_answer(&vcpu->exit, ALL_ONES, false);
    } else {
        raise_in_place(portions, vcpu, VECTOR_PAGE_FAULT,
                       FAULT_PRESENT | FAULT_USER |
                           (access->access == ACCESS_WRITE ? FAULT_WRITE : 0U));
        kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_SREGS);
        vcpu->kvm->run->s.regs.sregs.cr2 = access->linear;
        kvm_vcpu_replaced(vcpu->kvm, KVM_SYNC_X86_SREGS);
    }
}

void portion_answer_kill(struct portions *portions, struct l2_vcpu *vcpu)
{
    raise_in_place(portions, vcpu, VECTOR_PROTECTION, 0);
}
