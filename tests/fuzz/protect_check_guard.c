/* SPDX-License-Identifier: Apache-2.0 */
#include "hookguard/hooks/state.h"
#include "protect_checks.h"
#include "vmm/machine_state.h"
#include "vmm/protect/hooks/policy_state.h"

/* Nothing here is what inputs are to reach. */
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)

struct shown {
    const struct l2_vcpu *vcpu;
    uint64_t seen[HOOK_PAGES_LIMIT + HOOK_CLAIMS];
    size_t count;
};

/* A frame may come twice: the first counts. */
static int check_patch(void *context, const struct hook_patch *patch)
{
    struct shown *shown = context;

    for (size_t i = 0; i < shown->count; i++)
        if (shown->seen[i] == patch->frame)
            return 0;
    if (shown->count < sizeof(shown->seen) / sizeof(shown->seen[0]))
        shown->seen[shown->count++] = patch->frame;
    protect_must(protect_rights(shown->vcpu, patch->frame) == patch->rights,
                 "is not seen as the guard says now", patch->frame);
    return 0;
}

/* An agent's data is in no view but its own. */
static void check_bindings(const struct hook_policy *guard, const struct l2_vcpu *vcpu,
                           uint32_t view)
{
    const struct hook_plan *plan = guard->config->plan;

    if (!(plan->defences & HOOK_HIDDEN))
        return;
    for (uint32_t i = 0; i < HOOK_VIEWS; i++) {
        const struct hook_binding *binding = &guard->hooks->binding[i];

        for (size_t page = 0; binding->used && i + 1 != view && page < plan->pages; page++)
            if (plan->page[page].kind == HOOK_PAGE_DATA)
                protect_must(protect_rights(vcpu, binding->frame[page]) == 0,
                             "is an agent's, and seen outside", binding->frame[page]);
    }
}

void protect_check_guard(struct l2_vcpu *vcpu, unsigned int vm)
{
    static struct shown shown;
    struct hook_policy *guard = (struct hook_policy *)vcpu->l2->policy;
    const uint32_t view = hook_place_of(guard, vcpu)->in.view;

    protect_must(vcpu->place.overlay != NULL, "no overlay", 0);
    protect_entered(vcpu, view);
    shown.vcpu = vcpu;
    shown.count = 0;
    hook_each_patch(guard->hooks, view, check_patch, &shown);
    check_bindings(guard, vcpu, view);
    protect_check_slots(vcpu, vm);
}

#pragma clang attribute pop
