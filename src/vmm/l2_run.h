/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_L2_RUN_H
#define VMM_L2_RUN_H

#include "vmm/l1.h"
#include "vmm/l2.h"

/* MEZZ_CALL_ENTER: loads the VMCS12 and lets L2 run, or reflects an entry failure. 0, or the
 * mezz_error that ENTER returns. */
int l2_enter(struct l1_vcpu *l1, struct l2_vcpu *vcpu);

/* One KVM_RUN of the entered L2 and the dispatch of its exit. */
void l2_step(struct l1_vcpu *l1);

/* Nearly always nothing. */
static inline bool l2_something_waits(const struct l1_vcpu *l1, const struct l2_vcpu *vcpu)
{
    return (vcpu->string.left | vcpu->queued | l1->interrupt | l1->due) != 0;
}
void l2_dispatch_rest(struct l1_vcpu *l1, struct l2_vcpu *vcpu);

/* Goes on behind the exit that was dealt with: dispatches what else exits at once, until L2 can run
 * at the next step, or L1 does. */
static inline void l2_resume(struct l1_vcpu *l1, struct l2_vcpu *vcpu)
{
    l1->mode = L1_ENTERED;
    vcpu->asked = NULL;
    if (l2_something_waits(l1, vcpu))
        l2_dispatch_rest(l1, vcpu);
}

/* Ends MEZZ_CALL_ENTER with vcpu->exit in the VMCS12. */
void l2_reflect(struct l1_vcpu *l1, struct l2_vcpu *vcpu);

/* MEZZ_ACTION_STOP_L2: no vCPU of vcpu's L2 is entered again, and the others leave. */
void l2_stop(struct l2_vcpu *vcpu);

/* Before L1 sees registers: lets KVM end a retired instruction, after which guest_rip is behind it
 * on every KVM. */
void l2_settle(struct l2_vcpu *vcpu);

/* For each access that EPT12 may have got since: does it on memory. Otherwise answers with value.
 */
void l2_complete_access(struct l2_vcpu *vcpu, uint64_t value, bool fault);
static inline void l2_complete(struct l2_vcpu *vcpu, uint64_t value, bool fault)
{
    /* Of an OUT nothing is left to do. */
    if (vcpu->exit.flags & MEZZ_EXIT_RETIRED && vcpu->exit.reason != MEZZ_EXIT_EPT_VIOLATION &&
        vcpu->exit.reason != MEZZ_EXIT_PORTION)
        vcpu->exit.done = true;
    else
        l2_complete_access(vcpu, value, fault);
}

#endif
