/* SPDX-License-Identifier: Apache-2.0 */
#include <x86intrin.h>

#include "vmm/machine_state.h"
#include "vmm/protect/portions/state.h"

/*
 * Where making a view costs more than the guest's timer takes to its next tick, a portion would be
 * interrupted before its first instruction, again and again. So interrupts wait until it ran as
 * long as the way to it took, but never longer than this.
 */
#define HOLD_NS 50000000ULL

/* A window would let them in without the portion having been left. */
static void hold(struct l2_vcpu *vcpu)
{
    if (!vcpu->hold_windows)
        l2_policy_timer(vcpu, machine_time(vcpu->l2->machine) + HOLD_NS);
    l2_hold_windows(vcpu, true);
}

void portion_hold_begin(struct portions *portions, struct l2_vcpu *vcpu, uint64_t begun)
{
    struct portion_place *place = portion_place_of(portions, vcpu);

    place->entered_tsc = begun;
    place->entered_run = vcpu->run_tsc;
    /* Those of an earlier stay, for which the kernel had no window yet. */
    if (l2_holds_interrupts(vcpu))
        hold(vcpu);
}

bool portion_hold_back(struct portions *portions, struct l2_vcpu *vcpu)
{
    const struct portion_place *place = portion_place_of(portions, vcpu);
    uint64_t inside = vcpu->run_tsc - place->entered_run;
    uint64_t all = __rdtsc() - place->entered_tsc;

    if (place->in.view == 0 || inside >= all - inside)
        return false;
    hold(vcpu);
    return true;
}

void portion_hold_end(struct l2_vcpu *vcpu)
{
    if (!vcpu->hold_windows)
        return;
    l2_policy_timer(vcpu, UINT64_MAX);
    l2_hold_windows(vcpu, false);
    l2_release_interrupts(vcpu);
}
