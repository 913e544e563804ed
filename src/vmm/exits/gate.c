/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/exits/gate.h"

#include "mezz/gate.h"
#include "vmm/l2_policy.h"
#include "vmm/l2_run.h"

/* The last fragment of a store for certain: KVM makes them of 8 bytes. */
#define SURELY_WHOLE 4U

bool gate_is_meant(const struct l2_vcpu *vcpu)
{
    return (vcpu->exit.gpa & ~(PAGE_SIZE - 1)) == MEZZ_GATE_ADDRESS && vcpu->l2->has_gate;
}

/* Nothing of the store is left in the KVM vCPU that a switch leaves behind: it would come out as a
 * store of its own when that one runs again. */
static bool is_whole(struct l2_vcpu *vcpu)
{
    if (vcpu->exit.size > SURELY_WHOLE)
        l2_drain_or_end(vcpu);
    return vcpu->queued == 0;
}

static enum root_verdict refuse(struct l2_vcpu *vcpu)
{
    vcpu->exit.reason = MEZZ_EXIT_GATE;
    vcpu->exit.qualification = vcpu->exit.value;
    vcpu->exit.done = true;
    return ROOT_LEFT;
}

enum root_verdict gate_rule(struct l2_vcpu *vcpu)
{
    const struct l2_exit *exit = &vcpu->exit;
    enum l2_verdict verdict;

    if (exit->qualification & MEZZ_EPT_VIOLATION_READ) {
        l2_complete(vcpu, UINT64_MAX, false);
        return ROOT_HANDLED;
    }
    if (exit->qualification & MEZZ_EPT_VIOLATION_FETCH)
        return ROOT_LEFT;
    if (exit->gpa != MEZZ_GATE_ADDRESS || !is_whole(vcpu))
        return refuse(vcpu);
    verdict = l2_policies_gate(vcpu, exit->value, l2_regs(vcpu)->rip);
    if (verdict == L2_PASS)
        return refuse(vcpu);
    return verdict == L2_HANDLED ? ROOT_HANDLED : ROOT_LEFT;
}
