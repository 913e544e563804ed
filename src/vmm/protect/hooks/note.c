/* SPDX-License-Identifier: Apache-2.0 */
/* Counts and events of a guard. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/hot.h"
#include "vmm/l2_log.h"
#include "vmm/machine_state.h"
#include "vmm/protect/hooks/policy_state.h"

#define VECTOR_PAGE_FAULT 14U

const char *const hook_argument_names[MEZZ_GUARD_ARGUMENTS] = {"arg1", "arg2", "arg3",
                                                               "arg4", "arg5", "arg6"};

COLD static bool read_pages(struct hook_policy *guard, uint32_t view, uint64_t linear, uint8_t *to,
                            size_t length)
{
    while (length > 0) {
        size_t part = (size_t)(PAGE_SIZE - linear % PAGE_SIZE);

        if (part > length)
            part = length;
        if (!hook_read_agent(guard, view, linear, to, part))
            return false;
        linear += part;
        to += part;
        length -= part;
    }
    return true;
}

/* The copies lie in the agent's memory, page by page: nobody else has it. */
HOT bool hook_read_agent(struct hook_policy *guard, uint32_t view, uint64_t linear, uint8_t *to,
                         size_t length)
{
    const void *from;
    uint64_t address;

    if (length > PAGE_SIZE - linear % PAGE_SIZE)
        return read_pages(guard, view, linear, to, length);
    if (hook_agent_address(guard->hooks, view, linear, &address) != 0)
        return false;
    from = guest_memory_at(&guard->memory, address);
    if (from != NULL)
        memcpy(to, from, length);
    return from != NULL;
}

static void add_argument(struct hook_policy *guard, uint32_t view,
                         const struct mezz_guard_argument *declared,
                         const struct mezz_guard_record *record, struct guard_event *event)
{
    const uint32_t i = event->arguments++;
    const uint64_t length =
        record->length[i] - (declared->kind == MEZZ_GUARD_CSTRING && record->length[i] > 0);

    event->argument[i] = (struct guard_event_argument){.value = record->argument[i]};
    if (record->copy[i] == 0 || length > GUARD_EVENT_BYTES - event->bytes ||
        !hook_read_agent(guard, view, record->copy[i], event->data + event->bytes, length))
        return;
    event->argument[i].kind = declared->kind;
    event->argument[i].offset = event->bytes;
    event->argument[i].length = (uint32_t)length;
    event->bytes += (uint32_t)length;
}

/* The agent keeps these from the call's beginning on; one of another make may not. */
static bool is_record_of(const struct mezz_guard_record *record,
                         const struct hook_function *function, size_t number, const uint64_t *given)
{
    bool same = record->function == number;

    for (size_t i = 0; i < function->arguments; i++)
        same = same && record->argument[i] == hook_given_argument(given, i);
    return same;
}

/* Of a call that is refused: as its caller gave them, with copies if the agent has made any. */
static void add_given(struct hook_policy *guard, const struct hook_outcome *outcome,
                      struct guard_event *event)
{
    const struct hook_plan *plan = guard->config->plan;
    const struct hook_function *function = outcome->function;
    struct mezz_guard_record record = {.function = event->function};

    if (outcome->from == 0 ||
        !hook_read_agent(guard, outcome->from, plan->record, (uint8_t *)&record, sizeof(record)) ||
        !is_record_of(&record, function, event->function, outcome->given)) {
        record = (struct mezz_guard_record){.function = event->function};
        for (size_t i = 0; i < function->arguments; i++)
            record.argument[i] = hook_given_argument(outcome->given, i);
    }
    for (size_t i = 0; i < function->arguments; i++)
        add_argument(guard, outcome->from, &function->argument[i], &record, event);
}

static bool has_record(const struct hook_outcome *outcome)
{
    return outcome->function != NULL &&
           (outcome->reason == HOOK_REASON_RETURN || outcome->reason == HOOK_REASON_ASKED ||
            outcome->reason == HOOK_REASON_KILLED);
}

/* What the callback was shown. */
static void add_arguments(struct hook_policy *guard, const struct hook_outcome *outcome,
                          struct guard_event *event)
{
    const struct hook_plan *plan = guard->config->plan;
    struct mezz_guard_record record;

    if (!has_record(outcome) && outcome->function != NULL && outcome->given != NULL)
        add_given(guard, outcome, event);
    if (!has_record(outcome) ||
        !hook_read_agent(guard, outcome->from, plan->record, (uint8_t *)&record, sizeof(record)))
        return;
    /* One that a guarded function calls has its own, where it is asked about or kills. */
    if (outcome->reason != HOOK_REASON_RETURN && record.function < plan->functions)
        event->function = record.function;
    for (size_t i = 0; i < plan->function[event->function].arguments; i++)
        add_argument(guard, outcome->from, &plan->function[event->function].argument[i], &record,
                     event);
}

/* What went wrong inside, and where: the page fault's address is in CR2 as long as the kernel has
 * not run. */
static void add_fault(const struct hook_policy *guard, const struct hook_access *access,
                      struct guard_event *event)
{
    event->fault = access->interrupt.vector;
    event->fault_rip = access->interrupt.rip;
    if (event->fault == VECTOR_PAGE_FAULT)
        event->fault_address = guard->memory.vcpu->kvm->run->s.regs.sregs.cr2;
    hook_caller_name(guard, access->cr3, event->fault_rip, event->fault_place,
                     sizeof(event->fault_place));
}

static void fill(struct hook_policy *guard, const struct hook_access *access,
                 const struct hook_outcome *outcome, struct guard_event *event)
{
    const struct hook_plan *plan = guard->config->plan;

    memset(event, 0, offsetof(struct guard_event, data));
    event->number = ++guard->events;
    event->time_ns = machine_time(guard->l2->machine);
    event->caller = outcome->caller;
    event->cr3 = access->cr3;
    event->l2 = guard->l2->record->source - 1;
    event->reason = (uint32_t)outcome->reason;
    event->verdict = (uint32_t)outcome->verdict;
    event->action = (uint32_t)outcome->action;
    event->function = outcome->function == NULL ? MEZZ_GUARD_FUNCTIONS
                                                : (uint32_t)(outcome->function - plan->function);
    hook_caller_name(guard, access->cr3, outcome->caller, event->place, sizeof(event->place));
    event->within = MEZZ_GUARD_FUNCTIONS;
    add_arguments(guard, outcome, event);
    if (outcome->reason == HOOK_REASON_AGENT_FAULT)
        add_fault(guard, access, event);
}

/* Of what a call comes to its caller is told; otherwise the instruction. */
static bool is_told_by_call(const struct hook_outcome *outcome)
{
    return outcome->reason == HOOK_REASON_RETURN || outcome->given != NULL;
}

/* Of the RIP that is logged: where a call returns to, or the instruction. */
static const char *log_symbol(const struct hook_access *access, const struct hook_outcome *outcome,
                              const struct guard_event *event)
{
    const bool caller = is_told_by_call(outcome) || access->registers.rip == outcome->caller;

    return caller && event->place[0] != '\0' ? event->place : NULL;
}

/* Whose word it is that the verdict says. */
static const char *decided_by(const struct hook_policy *guard, const struct hook_outcome *outcome,
                              const struct guard_event *event)
{
    static const char *const deciders[] = {
        [GUARD_AGENT] = "agent", [GUARD_SCRIPT] = "script", [GUARD_L1] = "l1"};
    const struct hook_view *view = &guard->view[outcome->from];

    if (outcome->reason != HOOK_REASON_RETURN && outcome->reason != HOOK_REASON_KILLED)
        return "guard";
    if (outcome->verdict == MEZZ_GUARD_ALLOWED ||
        ((outcome->verdict == MEZZ_GUARD_DENIED || outcome->verdict == MEZZ_GUARD_KILLED) &&
         view->denied && view->denied_function == event->function))
        return view->denied && view->late ? "late" : deciders[guard->config->decider];
    return deciders[GUARD_AGENT];
}

/* "page-fault" or the vector, where, and the address. */
static size_t add_fault_fields(const struct guard_event *from, char text[2][24],
                               struct log_field *field)
{
    const char *name = hook_fault_name(from->fault);

    if (name == NULL)
        snprintf(text[0], sizeof(text[0]), "vector %u", from->fault);
    field[0] = (struct log_field){"fault", name != NULL ? name : text[0], 0};
    field[1] = (struct log_field){"at", from->fault_place, 0};
    if (from->fault != VECTOR_PAGE_FAULT)
        return 2;
    snprintf(text[1], sizeof(text[1]), "%#" PRIx64, from->fault_address);
    field[2] = (struct log_field){"address", text[1], 0};
    return 3;
}

static void log_event(struct hook_policy *guard, const struct hook_access *access,
                      const struct hook_outcome *outcome, const struct guard_event *from)
{
    const char *name = from->function < MEZZ_GUARD_FUNCTIONS
                           ? guard->config->plan->function[from->function].name
                           : NULL;
    struct log_field field[LOG_MORE_LIMIT];
    char text[MEZZ_GUARD_ARGUMENTS][LOG_TEXT_LIMIT + 2];
    char fault[2][24];
    char space[24];
    size_t count = 0;

    snprintf(space, sizeof(space), "%#" PRIx64, access->cr3);
    field[count++] = (struct log_field){"library", guard->config->plan->library, 0};
    field[count++] = (struct log_field){"function", name != NULL ? name : "", 0};
    field[count++] = (struct log_field){"caller", from->place, 0};
    field[count++] = (struct log_field){"cr3", space, 0};
    if (outcome->reason != HOOK_REASON_ASKED)
        field[count++] = (struct log_field){"by", decided_by(guard, outcome, from), 0};
    for (uint32_t i = 0; i < from->arguments; i++) {
        const struct guard_event_argument *argument = &from->argument[i];

        field[count] = (struct log_field){hook_argument_names[i], NULL, argument->value};
        if (argument->kind != MEZZ_GUARD_VALUE) {
            /* Of a buffer, up to the first zero byte; one byte too many shows that there is more.
             */
            snprintf(text[i], sizeof(text[i]), "%.*s", (int)argument->length,
                     (const char *)from->data + argument->offset);
            field[count].text = text[i];
        }
        count++;
    }
    if (outcome->reason == HOOK_REASON_AGENT_FAULT)
        count += add_fault_fields(from, fault, field + count);
    struct log_event event = {
        .level = 2,
        .from = outcome->from,
        .to = outcome->to,
        .rip = is_told_by_call(outcome) ? outcome->caller : access->registers.rip,
        .symbol = log_symbol(access, outcome, from),
        .reason = hook_reason_name(outcome->reason),
        .verdict = hook_word(outcome->reason, outcome->verdict, outcome->action),
        .more = field,
        .more_count = count,
    };
    if (!l2_log(guard->l2, &event, hook_is_refusal(outcome->reason)))
        guard->l2->record->report.guard.unlogged++;
}

/* Each call once, at its end, and whatever is asked or refused. */
HOT static bool is_told(enum hook_reason reason)
{
    return reason == HOOK_REASON_RETURN || reason == HOOK_REASON_ASKED || hook_is_refusal(reason);
}

int64_t hook_tell_script(struct hook_policy *guard, const struct guard_event *event)
{
    const struct guard_listener *listener = guard->l2->machine->listener;
    const uint64_t patience = guard->config->patience_ns;
    const bool asked = event->reason == HOOK_REASON_ASKED;
    bool heard = false;
    int64_t answer = -EPERM;

    if (listener != NULL && guard->config->heard)
        answer = listener->event(listener->context, event, patience, &heard);
    guard->late = asked && guard->config->decider == GUARD_SCRIPT && answer == -EPERM &&
                  machine_time(guard->l2->machine) - event->time_ns >= patience;
    guard->l2->record->report.guard.unheard += guard->config->heard && (!heard || guard->late);
    return answer;
}

/* Somebody hears of it. */
COLD static int64_t note_whole(struct hook_policy *guard, const struct hook_access *access,
                               const struct hook_outcome *outcome)
{
    fill(guard, access, outcome, &guard->event);
    if (guard->l2->machine->log != NULL)
        log_event(guard, access, outcome, &guard->event);
    return hook_tell_script(guard, &guard->event);
}

HOT int64_t hook_note(struct hook_policy *guard, const struct hook_access *access,
                      const struct hook_outcome *outcome)
{
    struct guard_report *report = &guard->l2->record->report.guard;

    if (outcome->reason == HOOK_REASON_NONE)
        return -EPERM;
    report->reasons[outcome->reason]++;
    if (outcome->reason == HOOK_REASON_RETURN)
        report->verdicts[outcome->verdict]++;
    if (outcome->reason == HOOK_REASON_CALL)
        guard->view[outcome->to].denied = false;
    hook_note_nested(guard, access, outcome);
    if (!is_told(outcome->reason) || (guard->l2->machine->log == NULL && !guard->config->heard))
        return -EPERM;
    return note_whole(guard, access, outcome);
}
