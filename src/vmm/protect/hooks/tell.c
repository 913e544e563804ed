/* SPDX-License-Identifier: Apache-2.0 */
/* Who else hears of calls and refusals, and decides: L1 by its callbacks, or the stack file. */
#include <errno.h>

#include "host/hot.h"
#include "vmm/machine_state.h"
#include "vmm/protect/hooks/policy_state.h"

#define DENIALS 4095 /* errors are from -4095 to -1 */

static bool l1_has(const struct l2 *l2, uint32_t mode)
{
    const struct callback *callback = l2->callbacks[reason_index(MEZZ_EXIT_GUARD)];

    while (callback != NULL && callback->registration.mode != mode)
        callback = callback->next;
    return callback != NULL;
}

/* Nested calls have a record of their own while they are asked about, and when they kill. */
static uint64_t function_of(struct mezz_guard_record *record, const struct hook_policy *guard,
                            const struct hook_outcome *outcome, uint64_t *address)
{
    const struct hook_plan *plan = guard->config->plan;

    *address = 0;
    if (outcome->function == NULL)
        return MEZZ_GUARD_NO_FUNCTION;
    if (outcome->from != 0 &&
        (hook_agent_address(guard->hooks, outcome->from, plan->record, address) != 0 ||
         guest_memory_read(&guard->memory, *address, record, sizeof(*record)) != 0))
        *address = 0;
    if ((outcome->reason == HOOK_REASON_ASKED || outcome->reason == HOOK_REASON_KILLED) &&
        *address != 0 && record->function < plan->functions)
        return record->function;
    return (uint64_t)(outcome->function - plan->function);
}

static uint64_t qualify(const struct hook_policy *guard, const struct hook_outcome *outcome,
                        uint64_t *address)
{
    struct mezz_guard_record record;
    const uint64_t function = function_of(&record, guard, outcome, address);

    return (uint64_t)outcome->reason | (uint64_t)outcome->verdict << MEZZ_GUARD_VERDICT_SHIFT |
           function << MEZZ_GUARD_FUNCTION_SHIFT;
}

uint64_t hook_qualification(const struct hook_policy *guard, const struct hook_outcome *outcome)
{
    uint64_t address;

    return qualify(guard, outcome, &address);
}

COLD static void make_exit(const struct hook_policy *guard, struct l2_vcpu *vcpu,
                           const struct hook_outcome *outcome)
{
    struct l2_exit *exit = &vcpu->exit;

    exit->reason = MEZZ_EXIT_GUARD;
    exit->qualification = qualify(guard, outcome, &exit->gpa);
    exit->linear = outcome->caller;
    exit->value = 0;
}

COLD static void tell_observer(struct hook_policy *guard, struct l2_vcpu *vcpu,
                               const struct hook_outcome *outcome)
{
    if ((outcome->reason == HOOK_REASON_RETURN || hook_is_refusal(outcome->reason)) &&
        l1_has(guard->l2, MEZZ_MODE_OBSERVE))
        make_exit(guard, vcpu, outcome);
}

HOT void hook_tell_l1(struct hook_policy *guard, struct l2_vcpu *vcpu,
                      const struct hook_outcome *outcome)
{
    if (guard->l2->callbacks[reason_index(MEZZ_EXIT_GUARD)] != NULL)
        tell_observer(guard, vcpu, outcome);
}

static void go_on(struct hook_policy *guard, struct l2_vcpu *vcpu, int64_t answer)
{
    struct hook_place *place = hook_place_of(guard, vcpu);
    struct hook_view *view = &guard->view[place->asked_view];

    view->denied = answer != MEZZ_GUARD_ALLOW;
    view->late = guard->late;
    view->denied_function = place->asked_function;
    place->answered.gpr[HOOK_RAX] = (uint64_t)answer;
    hook_load(vcpu, &place->answered);
    vcpu->exit.done = true;
}

COLD enum l2_verdict hook_decide(struct hook_policy *guard, struct l2_vcpu *vcpu,
                                 const struct hook_outcome *outcome, int64_t script)
{
    struct hook_place *place = hook_place_of(guard, vcpu);
    struct mezz_guard_record record;
    uint64_t address;

    place->answered = outcome->registers;
    place->asked_view = outcome->from;
    place->asked_function = function_of(&record, guard, outcome, &address);
    if (guard->config->decider == GUARD_L1 && l1_has(guard->l2, MEZZ_MODE_DECIDE)) {
        place->asked = true;
        make_exit(guard, vcpu, outcome);
        return L2_REFLECT;
    }
    go_on(guard, vcpu, guard->config->decider == GUARD_SCRIPT ? script : -EPERM);
    return L2_HANDLED;
}

void hook_answered(struct hook_policy *guard, struct l2_vcpu *vcpu, uint64_t value)
{
    struct hook_place *place = hook_place_of(guard, vcpu);
    const int64_t answer = (int64_t)value;

    if (!place->asked)
        return;
    place->asked = false;
    if (value == MEZZ_GUARD_LET)
        go_on(guard, vcpu, MEZZ_GUARD_ALLOW);
    else
        go_on(guard, vcpu, answer < 0 && answer >= -DENIALS ? answer : -EPERM);
}
