/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/l2_policy.h"

#include <errno.h>
#include <string.h>

#include "host/hot.h"
#include "mezz/errors.h"
#include "vmm/exits/drain.h"
#include "vmm/machine_state.h"
#include "vmm/vmcs/vmcs12.h"
#include "vmm/vmcs/x86.h"

/* A vCPU without an exit for so long is looked at, then and each time again. */
#define QUIET_NS 30000000ULL

int l2_policy_add(struct l2 *l2, struct l2_policy *policy)
{
    struct l2_policy **link = &l2->policy;
    int code = l2_view_need_engine(l2);

    if (code != 0)
        return code;
    while (*link != NULL)
        link = &(*link)->next;
    policy->next = NULL;
    *link = policy;
    return 0;
}

COLD static void await_judgement(const struct l2_vcpu *vcpu)
{
    struct l2 *l2 = vcpu->l2;
    struct machine *machine = l2->machine;

    while (l2->judged != NULL && l2->judged != vcpu && !machine->ended)
        pthread_cond_wait(&machine->changed, &machine->lock);
}

/*
 * What policies do between begin() and end() is not interrupted by what they do for another vCPU.
 * Whoever waits here runs nowhere and has claimed no turn, so whoever is inside gets all it waits
 * for. False: the machine ended meanwhile.
 */
HOT static bool begin(struct l2_vcpu *vcpu, struct l2_vcpu **before)
{
    struct l2 *l2 = vcpu->l2;

    if (l2->judged != NULL && l2->judged != vcpu) {
        await_judgement(vcpu);
        if (l2->judged != NULL && l2->judged != vcpu)
            return false;
    }
    *before = l2->judged;
    l2->judged = vcpu;
    return true;
}

HOT static void end(struct l2 *l2, struct l2_vcpu *before)
{
    l2->judged = before;
    if (l2->machine->l1_count > 1)
        pthread_cond_broadcast(&l2->machine->changed);
}

int l2_policies_start(struct l2_vcpu *vcpu)
{
    struct l2_vcpu *before;
    int code = 0;

    if (!begin(vcpu, &before))
        return MEZZ_E_STATE;
    for (struct l2_policy *policy = vcpu->l2->policy; policy != NULL && code == 0;
         policy = policy->next)
        if (policy->ops->start != NULL)
            code = policy->ops->start(policy, vcpu);
    vcpu->started = code == 0;
    end(vcpu->l2, before);
    return code;
}

HOT static void describe(struct l2_access *access, struct l2_vcpu *vcpu, uint32_t right)
{
    const struct l2_exit *exit = &vcpu->exit;
    const struct kvm_regs *regs = l2_regs(vcpu);
    const struct kvm_sregs *sregs = l2_sregs(vcpu);

    *access = (struct l2_access){
        .right = right,
        .address = l2_at(exit->gpa),
        .rip = regs->rip,
        .cr3 = sregs->cr3,
        .cpl = sregs->ss.dpl,
        .size = exit->size,
        .value = exit->value,
    };
    if (right == MEZZ_EPT_EXECUTE)
        access->linear = exit->linear;
}

WHOLE enum l2_verdict l2_policies_violation(struct l2_vcpu *vcpu, uint32_t right)
{
    enum l2_verdict verdict = L2_PASS;
    struct l2_access access;
    struct l2_vcpu *before;

    if (vcpu->l2->policy == NULL || !begin(vcpu, &before))
        return L2_PASS;
    describe(&access, vcpu, right);
    if (!l2_has_registers(vcpu))
        verdict = L2_HANDLED;
    for (struct l2_policy *policy = vcpu->l2->policy; policy != NULL && verdict == L2_PASS;
         policy = policy->next)
        if (policy->ops->violation != NULL)
            verdict = policy->ops->violation(policy, vcpu, &access);
    end(vcpu->l2, before);
    return verdict;
}

WHOLE enum l2_verdict l2_policies_gate(struct l2_vcpu *vcpu, uint64_t index, uint64_t rip)
{
    enum l2_verdict verdict = L2_PASS;
    struct l2_vcpu *before;

    if (vcpu->l2->policy == NULL || !begin(vcpu, &before))
        return L2_PASS;
    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
    if (!l2_has_registers(vcpu))
        verdict = L2_HANDLED;
    for (struct l2_policy *policy = vcpu->l2->policy; policy != NULL && verdict == L2_PASS;
         policy = policy->next)
        if (policy->ops->gate != NULL)
            verdict = policy->ops->gate(policy, vcpu, index, rip);
    end(vcpu->l2, before);
    return verdict;
}

void l2_policies_answered(struct l2_vcpu *vcpu, uint64_t value)
{
    struct l2_vcpu *before;

    if (!begin(vcpu, &before))
        return;
    for (struct l2_policy *policy = vcpu->l2->policy; policy != NULL; policy = policy->next)
        if (policy->ops->answered != NULL)
            policy->ops->answered(policy, vcpu, value);
    end(vcpu->l2, before);
}

void l2_policies_tick(struct l2_vcpu *vcpu)
{
    struct l2_vcpu *before;

    vcpu->policy_at = UINT64_MAX;
    if (!begin(vcpu, &before))
        return;
    for (struct l2_policy *policy = vcpu->l2->policy; policy != NULL; policy = policy->next)
        if (policy->ops->tick != NULL)
            policy->ops->tick(policy, vcpu);
    end(vcpu->l2, before);
}

bool l2_policies_end(struct l2_vcpu *vcpu)
{
    enum l2_verdict verdict = L2_PASS;
    struct l2_vcpu *before;

    if (vcpu->l2->policy == NULL || !begin(vcpu, &before))
        return false;
    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
    if (!l2_has_registers(vcpu))
        verdict = L2_HANDLED;
    for (struct l2_policy *policy = vcpu->l2->policy; policy != NULL && verdict == L2_PASS;
         policy = policy->next)
        if (policy->ops->stuck != NULL)
            verdict = policy->ops->stuck(policy, vcpu);
    end(vcpu->l2, before);
    return verdict == L2_REFLECT;
}

/* Most of those compute. */
bool l2_policies_end_quiet(struct l2_vcpu *vcpu)
{
    const uint64_t now = machine_time(vcpu->l2->machine);

    if (vcpu->l2->policy == NULL || vcpu->halted)
        return false;
    if (vcpu->quiet.exits != vcpu->exit_count) {
        vcpu->quiet.exits = vcpu->exit_count;
        vcpu->quiet.since = now;
    }
    if (now - vcpu->quiet.since < QUIET_NS)
        return false;
    vcpu->quiet.since = now;
    return l2_policies_end(vcpu);
}

void l2_policies_vcpu_gone(struct l2_vcpu *vcpu)
{
    struct l2_vcpu *before;

    if (!begin(vcpu, &before))
        return;
    for (struct l2_policy *policy = vcpu->l2->policy; policy != NULL; policy = policy->next)
        if (policy->ops->vcpu_gone != NULL)
            policy->ops->vcpu_gone(policy, vcpu);
    end(vcpu->l2, before);
}

void l2_policies_destroy(struct l2 *l2)
{
    while (l2->policy != NULL) {
        struct l2_policy *policy = l2->policy;

        l2->policy = policy->next;
        if (policy->ops->destroy != NULL)
            policy->ops->destroy(policy);
    }
}

static bool is_held_back(struct l2_vcpu *vcpu, uint32_t info)
{
    const uint8_t vector = info & MEZZ_EVENT_VECTOR_MASK;
    struct l2_vcpu *before;
    bool held = false;

    if (vcpu->l2->policy == NULL || vcpu->halted ||
        (info & MEZZ_EVENT_TYPE_MASK) != MEZZ_EVENT_EXTERNAL || !begin(vcpu, &before))
        return false;
    for (struct l2_policy *policy = vcpu->l2->policy; policy != NULL && !held;
         policy = policy->next)
        held = policy->ops->interrupt != NULL &&
               policy->ops->interrupt(policy, vcpu, vector) == L2_HANDLED;
    end(vcpu->l2, before);
    return held;
}

void l2_inject_event(struct l2_vcpu *vcpu, uint32_t info, uint32_t error_code)
{
    const uint8_t vector = info & MEZZ_EVENT_VECTOR_MASK;

    if (is_held_back(vcpu, info)) {
        vcpu->held[vector / 64] |= 1ULL << vector % 64;
        l2_set_window(vcpu);
    } else {
        vmcs12_inject(vcpu->kvm, info, error_code);
    }
    vcpu->halted = false;
}

int l2_abort_instruction(struct l2_vcpu *vcpu)
{
    int code;

    /* As if nobody had answered: a drain takes it back. */
    vcpu->exit.done = false;
    code = l2_drain(vcpu);
    vcpu->exit.done = true;
    vcpu->queued = 0;
    return code;
}

HOT struct kvm_regs *l2_regs(struct l2_vcpu *vcpu)
{
    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_REGS);
    return &vcpu->kvm->run->s.regs.regs;
}

HOT void l2_regs_changed(struct l2_vcpu *vcpu)
{
    kvm_vcpu_replaced(vcpu->kvm, KVM_SYNC_X86_REGS);
}

HOT const struct kvm_sregs *l2_sregs(struct l2_vcpu *vcpu)
{
    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_SREGS);
    return &vcpu->kvm->run->s.regs.sregs;
}

COLD static bool without_registers(const struct l2_vcpu *vcpu)
{
    machine_end(vcpu->l2->machine, MACHINE_HOST, "registers of L2 %s: %s", vcpu->l2->name,
                strerror(-vcpu->kvm->failure));
    return false;
}

HOT bool l2_has_registers(const struct l2_vcpu *vcpu)
{
    return vcpu->kvm->failure == 0 || without_registers(vcpu);
}

int l2_raise(struct l2_vcpu *vcpu, uint8_t vector, int64_t code)
{
    int result = l2_drain(vcpu);

    if (result == 0)
        vmcs12_inject(vcpu->kvm,
                      MEZZ_EVENT_VALID | MEZZ_EVENT_EXCEPTION | vector |
                          (code >= 0 ? MEZZ_EVENT_DELIVER_CODE : 0),
                      code >= 0 ? (uint32_t)code : 0);
    return result;
}

COLD static int take_all_to(struct l2_vcpu *vcpu, struct space_overlay *overlay)
{
    int code = l2_drain(vcpu);

    return code == 0 ? l2_view_overlay(vcpu, overlay, CARRY_ALL) : code;
}

HOT int l2_switch_overlay(struct l2_vcpu *vcpu, struct space_overlay *overlay,
                          enum view_carry carry)
{
    return carry == CARRY_ALL ? take_all_to(vcpu, overlay) : l2_view_overlay(vcpu, overlay, carry);
}

COLD void l2_stop_others(struct l2_vcpu *vcpu)
{
    l2_view_stop_others(vcpu);
}

static bool takes_events(struct l2_vcpu *vcpu)
{
    const struct kvm_vcpu_events *events = &vcpu->kvm->run->s.regs.events;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_EVENTS);
    return l2_regs(vcpu)->rflags & RFLAGS_IF && events->interrupt.shadow == 0 &&
           !events->interrupt.injected && !events->exception.injected &&
           !events->exception.pending && !events->nmi.injected;
}

HOT bool l2_holds_interrupts(const struct l2_vcpu *vcpu)
{
    return (vcpu->held[0] | vcpu->held[1] | vcpu->held[2] | vcpu->held[3]) != 0;
}

void l2_set_window(struct l2_vcpu *vcpu)
{
    const bool wanted =
        vcpu->controls.cpu_based & MEZZ_CPU_INTERRUPT_WINDOW_EXITING || l2_holds_interrupts(vcpu);

    vcpu->kvm->run->request_interrupt_window = wanted && !vcpu->hold_windows;
}

/* The highest vector first. */
static uint8_t take_held(struct l2_vcpu *vcpu)
{
    unsigned int word = 3;
    unsigned int bit;

    while (vcpu->held[word] == 0)
        word--;
    bit = 63 - (unsigned int)__builtin_clzll(vcpu->held[word]);
    vcpu->held[word] &= ~(1ULL << bit);
    return (uint8_t)(word * 64 + bit);
}

void l2_release_interrupts(struct l2_vcpu *vcpu)
{
    if (l2_holds_interrupts(vcpu) && l2_drain(vcpu) == 0 && takes_events(vcpu))
        vmcs12_inject(vcpu->kvm, MEZZ_EVENT_VALID | MEZZ_EVENT_EXTERNAL | take_held(vcpu), 0);
    l2_set_window(vcpu);
}

void l2_hold_windows(struct l2_vcpu *vcpu, bool hold)
{
    vcpu->hold_windows = hold;
    l2_set_window(vcpu);
}

void l2_policy_timer(struct l2_vcpu *vcpu, uint64_t at)
{
    const struct machine *machine = vcpu->l2->machine;

    vcpu->policy_at = at;
    for (unsigned int i = 0; i < machine->l1_count; i++)
        if (machine->l1[i]->entered == vcpu)
            l1_timer_not_after(machine->l1[i], at);
}
