/* SPDX-License-Identifier: Apache-2.0 */
/* Counts and events of a guard. */
#include <inttypes.h>
#include <stdio.h>

#include "vmm/machine_state.h"
#include "vmm/protect/hook_policy_state.h"
#include "vmm/protect/policy_log.h"

static const char *verdict_of(const struct hook_outcome *outcome)
{
    static const char *const actions[] = {
        [HOOK_NOT_OURS] = "none",   [HOOK_GO_ON] = "error", [HOOK_SERVE] = "log",
        [HOOK_NOTHING] = "nothing", [HOOK_KILL] = "kill",   [HOOK_STOP] = "stop",
    };

    if (outcome->reason == HOOK_REASON_RETURN)
        return hook_verdict_name(outcome->verdict);
    return hook_is_refusal(outcome->reason) ? actions[outcome->action] : "allowed";
}

/* What the callback was shown, from the agent's memory: nobody else has it. */
static size_t add_arguments(struct hook_policy *guard, const struct hook_outcome *outcome,
                            struct log_field *field, char (*text)[LOG_TEXT_LIMIT + 1])
{
    static const char *const names[MEZZ_GUARD_ARGUMENTS] = {"arg1", "arg2", "arg3",
                                                            "arg4", "arg5", "arg6"};
    const struct hook_plan *plan = guard->config->plan;
    struct mezz_guard_record record;
    uint64_t address;
    size_t count = 0;

    if (hook_agent_address(guard->hooks, outcome->from, plan->record, &address) != 0 ||
        guest_memory_read(&guard->memory, address, &record, sizeof(record)) != 0)
        return 0;
    for (size_t i = 0; i < outcome->function->arguments && count < 4; i++) {
        const uint64_t length =
            record.length[i] < LOG_TEXT_LIMIT ? record.length[i] : LOG_TEXT_LIMIT;

        field[count] = (struct log_field){names[i], NULL, record.argument[i]};
        if (outcome->function->argument[i].kind == MEZZ_GUARD_CSTRING && record.copy[i] != 0 &&
            length > 0 && record.copy[i] % PAGE_SIZE + length <= PAGE_SIZE &&
            hook_agent_address(guard->hooks, outcome->from, record.copy[i], &address) == 0 &&
            guest_memory_read(&guard->memory, address, text[count], length) == 0) {
            text[count][length] = '\0';
            field[count].text = text[count];
        }
        count++;
    }
    return count;
}

static void log_event(struct hook_policy *guard, const struct hook_access *access,
                      const struct hook_outcome *outcome)
{
    struct log_field field[LOG_MORE_LIMIT];
    char text[LOG_MORE_LIMIT][LOG_TEXT_LIMIT + 1];
    char space[24];
    size_t count = 0;

    snprintf(space, sizeof(space), "%#" PRIx64, access->cr3);
    field[count++] = (struct log_field){"library", guard->config->plan->library, 0};
    field[count++] =
        (struct log_field){"function", outcome->function != NULL ? outcome->function->name : "", 0};
    field[count++] = (struct log_field){"cr3", space, 0};
    if (outcome->reason == HOOK_REASON_RETURN && outcome->function != NULL)
        count += add_arguments(guard, outcome, field + count, text + count);
    struct log_event event = {
        .level = 2,
        .from = outcome->from,
        .to = outcome->to,
        .rip =
            outcome->reason == HOOK_REASON_RETURN ? outcome->registers.rip : access->registers.rip,
        .symbol = outcome->function != NULL ? outcome->function->name : NULL,
        .reason = hook_reason_name(outcome->reason),
        .verdict = verdict_of(outcome),
        .more = field,
        .more_count = count,
    };
    if (!policy_log(guard->l2, &event, hook_is_refusal(outcome->reason)))
        guard->l2->record->report.guard.unlogged++;
}

void hook_note(struct hook_policy *guard, const struct hook_access *access,
               const struct hook_outcome *outcome)
{
    struct guard_report *report = &guard->l2->record->report.guard;

    if (outcome->reason == HOOK_REASON_NONE)
        return;
    report->reasons[outcome->reason]++;
    if (outcome->reason == HOOK_REASON_RETURN)
        report->verdicts[outcome->verdict]++;
    /* Each call once, at its end, and whatever is refused. */
    if (guard->l2->machine->log != NULL &&
        (outcome->reason == HOOK_REASON_RETURN || hook_is_refusal(outcome->reason)))
        log_event(guard, access, outcome);
}
