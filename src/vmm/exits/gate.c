/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/exits/gate.h"

#include "host/hot.h"
#include "mezz/errors.h"
#include "vmm/l2_gate.h"
#include "vmm/l2_log.h"
#include "vmm/l2_policy.h"
#include "vmm/l2_run.h"
#include "vmm/machine_state.h"

/* The last fragment of a store for certain: KVM makes them of 8 bytes. */
#define SURELY_WHOLE 4U

HOT bool gate_is_meant(const struct l2_vcpu *vcpu)
{
    return (vcpu->exit.gpa & ~(PAGE_SIZE - 1)) == MEZZ_GATE_ADDRESS && vcpu->l2->has_gate;
}

/* Nothing of the store is left in the KVM vCPU that a switch leaves behind: it would come out as a
 * store of its own when that one runs again. */
static bool is_whole(struct l2_vcpu *vcpu)
{
    if (vcpu->exit.size > SURELY_WHOLE)
        l2_drain(vcpu);
    return vcpu->queued == 0;
}

COLD static void tell(struct l2_vcpu *vcpu, const char *reason, bool refused, uint32_t from)
{
    const struct l2_view_event event = {
        2, reason, refused, from, vcpu->exit.value, l2_regs(vcpu)->rip,
    };

    l2_log_view(vcpu, &event);
}

static enum root_verdict refuse(struct l2_vcpu *vcpu, enum mezz_gate_refusal why)
{
    static const char *const reasons[] = {
        [MEZZ_GATE_INDEX] = "gate-index",
        [MEZZ_GATE_SITE] = "gate-site",
        [MEZZ_GATE_STORE] = "gate-store",
    };

    if (vcpu->l2->machine->log != NULL)
        tell(vcpu, reasons[why], true, vcpu->ept.eptp_index);
    vcpu->exit.reason = MEZZ_EXIT_GATE;
    vcpu->exit.qualification = why;
    vcpu->exit.done = true;
    return ROOT_LEFT;
}

/* To a view of L1's list. */
static enum root_verdict switch_view(struct l2_vcpu *vcpu, uint64_t rip)
{
    const uint64_t index = vcpu->exit.value;
    const uint32_t from = vcpu->ept.eptp_index;
    int error;

    if (index >= space_list_count(vcpu->l2->space) ||
        !space_list_has(vcpu->l2->space, (uint32_t)index))
        return refuse(vcpu, MEZZ_GATE_INDEX);
    if (!l2_gate_site_allowed(vcpu->l2, rip, l2_sregs(vcpu)->cr3, vcpu->ept.eptp_index,
                              (uint32_t)index))
        return refuse(vcpu, MEZZ_GATE_SITE);
    error = l2_switch_view(vcpu, index, CARRY_GATE);
    if (vcpu->l2->machine->log != NULL)
        tell(vcpu, error == 0 ? "gate" : "gate-view", error != 0, from);
    if (error == 0 || vcpu->l2->machine->ended)
        return ROOT_HANDLED;
    /* Its EPT12 has a mistake by now. */
    vcpu->exit.reason = MEZZ_EXIT_EPT_MISCONFIG;
    vcpu->exit.qualification = (uint64_t)(error < 0 ? MEZZ_E_HOST : error);
    vcpu->exit.done = true;
    return ROOT_LEFT;
}

HOT enum root_verdict gate_rule(struct l2_vcpu *vcpu)
{
    const struct l2_exit *exit = &vcpu->exit;
    enum l2_verdict verdict;
    uint64_t rip;

    if (exit->qualification & MEZZ_EPT_VIOLATION_READ) {
        l2_complete(vcpu, UINT64_MAX, false);
        return ROOT_HANDLED;
    }
    if (exit->qualification & MEZZ_EPT_VIOLATION_FETCH)
        return ROOT_LEFT;
    if (exit->gpa != MEZZ_GATE_ADDRESS || !is_whole(vcpu))
        return refuse(vcpu, MEZZ_GATE_STORE);
    rip = l2_regs(vcpu)->rip;
    verdict = l2_policies_gate(vcpu, exit->value, rip);
    if (verdict == L2_PASS)
        return switch_view(vcpu, rip);
    vcpu->exit.done = true;
    return verdict == L2_HANDLED ? ROOT_HANDLED : ROOT_LEFT;
}
