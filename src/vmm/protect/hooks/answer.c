/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "host/hot.h"
#include "vmm/l2.h"
#include "vmm/protect/hooks/policy_state.h"
#include "vmm/protect/kernel_entry.h"

#define VECTOR_INVALID     6U
#define VECTOR_PROTECTION  13U
#define VECTOR_SYSTEM_CALL 128U
#define FRAME_RSP          24U /* behind RIP, CS and RFLAGS */
/* CF, PF, AF, ZF, SF, DF, OF: a program's own; the rest of RFLAGS is the kernel's. */
#define PROGRAM_FLAGS  0xcd5ULL
#define REPEATED_LIMIT 16U

HOT static void load_at(struct l2_vcpu *vcpu, const struct hook_registers *from, uint64_t rip)
{
    struct kvm_regs *regs = l2_regs(vcpu);

    memcpy(&regs->rax, from->gpr, sizeof(from->gpr));
    regs->rip = rip;
    regs->rflags = (regs->rflags & ~PROGRAM_FLAGS) | (from->rflags & PROGRAM_FLAGS);
    l2_regs_changed(vcpu);
}

void hook_load(struct l2_vcpu *vcpu, const struct hook_registers *from)
{
    load_at(vcpu, from, from->rip);
}

/* Back in the program from the kernel's first instruction, as if the event had not been. */
COLD static void return_to_user(const struct hook_place *place, struct l2_vcpu *vcpu,
                                const struct hook_registers *registers)
{
    struct kvm_sregs *sregs;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_SREGS);
    sregs = &vcpu->kvm->run->s.regs.sregs;
    sregs->cs = place->cs;
    sregs->ss = place->ss;
    kvm_vcpu_replaced(vcpu->kvm, KVM_SYNC_X86_SREGS);
    l2_regs(vcpu)->rflags = registers->rflags;
    l2_regs_changed(vcpu);
}

/* What the processor pushed becomes something that the kernel may know. *rip: where it goes on. */
COLD static int rewrite(struct hook_policy *guard, const struct hook_access *access,
                        const struct hook_outcome *outcome, uint64_t *rip)
{
    uint64_t at = hook_access_frame(guard, access);
    uint64_t physical;

    if (outcome->system_call_vector &&
        !kernel_entry_handler(&guard->memory, VECTOR_SYSTEM_CALL, rip))
        return -EFAULT;
    if (at == 0 ||
        guest_memory_translate(&guard->memory, access->cr3, at, GUEST_ANY, &physical) != 0)
        return -EFAULT;
    if (guest_memory_write(&guard->memory, physical, &outcome->frame_rip, 8) != 0 ||
        guest_memory_write(&guard->memory, physical + FRAME_RSP, &outcome->frame_rsp, 8) != 0)
        return -EFAULT;
    return 0;
}

HOT void hook_proceed(struct hook_policy *guard, struct l2_vcpu *vcpu,
                      const struct hook_access *access, const struct hook_outcome *outcome)
{
    struct hook_place *place = hook_place_of(guard, vcpu);
    uint64_t rip = outcome->registers.rip;
    int code = outcome->rewrite ? rewrite(guard, access, outcome, &rip) : 0;

    if (outcome->reason == HOOK_REASON_CALL) {
        const struct kvm_sregs *sregs = l2_sregs(vcpu);

        place->cs = sregs->cs;
        place->ss = sregs->ss;
    }
    if (code == 0)
        code = hook_views_show(guard, vcpu);
    if (code != 0) {
        hook_policy_fail(guard, code);
        return;
    }
    if (outcome->load)
        load_at(vcpu, &outcome->registers, rip);
    if (outcome->to_user)
        return_to_user(place, vcpu, &outcome->registers);
    vcpu->exit.done = true;
}

/* Does the data access on memory, whatever the view has. */
COLD static enum l2_verdict serve(struct hook_policy *guard, struct l2_vcpu *vcpu, bool really)
{
    struct l2_exit *exit = &vcpu->exit;
    uint64_t data = exit->value;

    exit->done = true;
    if (exit->unserved) {
        int code = l2_raise(vcpu, VECTOR_INVALID, -1);

        if (code != 0)
            hook_policy_fail(guard, code);
        return L2_HANDLED;
    }
    if (exit->qualification & MEZZ_EPT_VIOLATION_WRITE) {
        if (really)
            guest_memory_write(&guard->memory, exit->gpa, &data, exit->size);
        return L2_HANDLED;
    }
    data = UINT64_MAX;
    if (really)
        guest_memory_read(&guard->memory, exit->gpa, &data, exit->size);
    l2_exit_answer(exit, data, false);
    return L2_HANDLED;
}

COLD static enum l2_verdict end_program(struct hook_policy *guard, struct l2_vcpu *vcpu,
                                        const struct hook_outcome *outcome)
{
    int code = l2_abort_instruction(vcpu);

    if (code == 0)
        code = hook_views_show(guard, vcpu);
    if (code == 0 && outcome->load)
        hook_load(vcpu, &outcome->registers);
    if (code == 0)
        code = l2_raise(vcpu, VECTOR_PROTECTION, 0);
    if (code != 0)
        hook_policy_fail(guard, code);
    vcpu->exit.done = true;
    return L2_HANDLED;
}

/* The L2 ends: L1 gets an exit, and its next entry an error. */
COLD static enum l2_verdict end_l2(const struct hook_policy *guard, struct l2_vcpu *vcpu,
                                   const struct hook_outcome *outcome)
{
    vcpu->l2->stopped = true;
    vcpu->exit.reason = MEZZ_EXIT_GUARD;
    vcpu->exit.qualification = hook_qualification(guard, outcome);
    return L2_REFLECT;
}

/* Views have changed since the access; or it is somebody else's matter. */
COLD static enum l2_verdict not_ours(struct hook_policy *guard, struct l2_vcpu *vcpu,
                                     const struct hook_access *access)
{
    struct hook_place *place = hook_place_of(guard, vcpu);
    int code;

    place->repeated = place->rip == access->registers.rip ? place->repeated + 1 : 0;
    place->rip = access->registers.rip;
    if (access->kind != HOOK_FETCH || place->repeated > REPEATED_LIMIT)
        return L2_PASS;
    if (place->shown == place->in.view &&
        vcpu->place.overlay == guard->view[place->shown].overlay &&
        guard->view[place->shown].version == hook_version(guard->hooks, place->shown))
        return L2_PASS;
    code = hook_views_show(guard, vcpu);
    if (code != 0)
        hook_policy_fail(guard, code);
    return L2_HANDLED;
}

enum l2_verdict hook_answer(struct hook_policy *guard, struct l2_vcpu *vcpu,
                            const struct hook_access *access, const struct hook_outcome *outcome)
{
    switch (outcome->action) {
    case HOOK_SERVE:
        return serve(guard, vcpu, true);
    case HOOK_NOTHING:
        return serve(guard, vcpu, false);
    case HOOK_KILL:
        return end_program(guard, vcpu, outcome);
    case HOOK_STOP:
        return end_l2(guard, vcpu, outcome);
    case HOOK_GO_ON:
    case HOOK_ASK:
    case HOOK_ACTIONS:
    case HOOK_NOT_OURS:
    default:
        return not_ours(guard, vcpu, access);
    }
}
