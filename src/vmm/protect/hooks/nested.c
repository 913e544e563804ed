/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that guarded functions make of each other: they cause no exit, and are told of at the end
 * of the call that they were made in, from what its agent kept of them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/hot.h"
#include "vmm/l2_log.h"
#include "vmm/machine_state.h"
#include "vmm/protect/hooks/policy_state.h"

static void log_call(struct hook_policy *guard, const struct hook_access *access,
                     const struct hook_outcome *outcome, const struct mezz_guard_nested_call *call)
{
    const struct hook_plan *plan = guard->config->plan;
    const struct hook_function *function = &plan->function[call->function];
    struct log_field field[LOG_MORE_LIMIT];
    char space[24];
    size_t count = 0;

    snprintf(space, sizeof(space), "%#" PRIx64, access->cr3);
    field[count++] = (struct log_field){"library", plan->library, 0};
    field[count++] = (struct log_field){"function", function->name, 0};
    field[count++] = (struct log_field){"within", outcome->function->name, 0};
    field[count++] = (struct log_field){"cr3", space, 0};
    for (size_t i = 0; i < function->arguments; i++)
        field[count++] = (struct log_field){hook_argument_names[i], NULL, call->argument[i]};
    struct log_event event = {
        .level = 2,
        .from = outcome->from,
        .to = outcome->from,
        .rip = function->entry,
        .symbol = function->name,
        .reason = "nested",
        .verdict = hook_verdict_name((enum mezz_guard_verdict)call->verdict),
        .more = field,
        .more_count = count,
    };
    if (!l2_log(guard->l2, &event, false))
        guard->l2->record->report.guard.unlogged++;
}

static void tell(struct hook_policy *guard, const struct hook_access *access,
                 const struct hook_outcome *outcome, const struct mezz_guard_nested_call *call)
{
    const struct hook_plan *plan = guard->config->plan;
    struct guard_event *event = &guard->event;

    memset(event, 0, offsetof(struct guard_event, data));
    event->number = ++guard->events;
    event->time_ns = machine_time(guard->l2->machine);
    event->cr3 = access->cr3;
    event->l2 = guard->l2->record->source - 1;
    event->reason = HOOK_REASON_RETURN;
    event->verdict = call->verdict;
    event->function = call->function;
    event->within = (uint32_t)(outcome->function - plan->function);
    event->arguments = (uint32_t)plan->function[call->function].arguments;
    for (uint32_t i = 0; i < event->arguments; i++)
        event->argument[i].value = call->argument[i];
    hook_tell_script(guard, event);
}

COLD static void note_calls(struct hook_policy *guard, const struct hook_access *access,
                            const struct hook_outcome *outcome, uint64_t calls)
{
    const struct hook_plan *plan = guard->config->plan;
    struct mezz_guard_nested_call call[MEZZ_GUARD_NESTED];

    if (!hook_read_agent(guard, outcome->from,
                         plan->nested + offsetof(struct mezz_guard_nested, call), (uint8_t *)call,
                         sizeof(call)))
        return;
    for (uint64_t i = 0; i < calls && i < MEZZ_GUARD_NESTED; i++) {
        if (call[i].function >= plan->functions || call[i].verdict >= MEZZ_GUARD_VERDICTS)
            continue;
        if (guard->l2->machine->log != NULL)
            log_call(guard, access, outcome, &call[i]);
        if (guard->config->heard)
            tell(guard, access, outcome, &call[i]);
    }
}

HOT void hook_note_nested(struct hook_policy *guard, const struct hook_access *access,
                          const struct hook_outcome *outcome)
{
    const struct hook_plan *plan = guard->config->plan;
    const size_t head = offsetof(struct mezz_guard_nested, call);
    struct mezz_guard_nested nested;

    if (outcome->from == 0 || outcome->function == NULL || plan->nested == 0 ||
        (outcome->reason != HOOK_REASON_RETURN && !hook_is_refusal(outcome->reason)) ||
        !hook_read_agent(guard, outcome->from, plan->nested, (uint8_t *)&nested, head) ||
        nested.calls == 0)
        return;
    for (unsigned int v = 0; v < MEZZ_GUARD_VERDICTS; v++)
        guard->l2->record->report.guard.nested[v] += nested.verdicts[v];
    if (guard->l2->machine->log != NULL || guard->config->heard)
        note_calls(guard, access, outcome, nested.calls);
}
