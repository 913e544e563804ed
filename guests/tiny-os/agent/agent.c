/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include <stdbool.h>
#include <stddef.h>

#define ZERO_BYTE     1 /* at the end of a text */
#define EXCHANGE_SIZE 16384

/* RAX and RDX, as a function leaves them. */
struct agent_result {
    int64_t value;
    uint64_t second;
};

struct agent_result agent_call(uint32_t index, const uint64_t *argument, uint64_t outermost);
struct agent_result agent_run_both(uint64_t body, const uint64_t *argument);
_Noreturn void agent_kill(void);
int agent_copy(void *to, const void *from, uint64_t n);
int64_t agent_ask(void);

extern const struct mezz_guard_plan guard_plan;
extern char guard_exchange[EXCHANGE_SIZE];
extern const char agent_begin[], agent_end[]; /* all that is the agent's, and between */
extern struct mezz_guard_record guard_record;
extern struct mezz_guard_nested guard_nested;

struct mezz_guard_record guard_record;
struct mezz_guard_nested guard_nested;
static uint64_t exchange_used;

/* What the agent and the function may touch, and the caller may not. */
static bool is_agents(uint64_t from, uint64_t n)
{
    uint64_t last = from + n - 1; /* -1 is an address, and not the agent's */

    return n && (last < from || (from < (uint64_t)agent_end && last >= (uint64_t)agent_begin));
}

/* Bytes up to and with the zero, or 0 if there is none. */
static uint64_t text_size(const char *text, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        if (!text[i]) {
            return i + ZERO_BYTE;
        }
    }
    return 0;
}

/* Page by page, as the text may end right before memory that is not there. */
static enum mezz_guard_verdict copy_text(char *to, uint64_t from, uint64_t limit, bool outermost,
                                         uint64_t *size)
{
    uint64_t done = 0;

    while (done < limit) {
        uint64_t n = 4096 - (from + done) % 4096;

        if (n > limit - done) {
            n = limit - done;
        }
        if ((outermost && is_agents(from + done, n)) ||
            agent_copy(to + done, (const void *)(from + done), n)) {
            return MEZZ_GUARD_UNREADABLE;
        }
        uint64_t end = text_size(to + done, n);
        if (end) {
            *size = done + end;
            return MEZZ_GUARD_ALLOWED;
        }
        done += n;
    }
    return MEZZ_GUARD_TOO_LONG;
}

/* Bytes of the caller's memory; a text says itself where it ends. */
static uint64_t size_of(const struct mezz_guard_argument *declared, const uint64_t *argument)
{
    if (declared->kind == MEZZ_GUARD_NUMBER) {
        return 0;
    }
    if (declared->kind == MEZZ_GUARD_BUFFER ||
        (declared->kind == MEZZ_GUARD_MEMORY && declared->length_in != MEZZ_GUARD_NO_LENGTH)) {
        return argument[declared->length_in];
    }
    return declared->kind == MEZZ_GUARD_MEMORY ? declared->limit : 1;
}

static enum mezz_guard_verdict copy_argument(const struct mezz_guard_argument *declared,
                                             const uint64_t *argument, unsigned i, bool outermost,
                                             struct mezz_guard_record *record)
{
    char *to = guard_exchange + exchange_used;
    uint64_t room = EXCHANGE_SIZE - exchange_used;
    uint64_t limit = declared->limit < room ? declared->limit : room;
    enum mezz_guard_verdict verdict = MEZZ_GUARD_ALLOWED;

    if (declared->kind == MEZZ_GUARD_CSTRING) {
        verdict = copy_text(to, argument[i], limit, outermost, &record->length[i]);
    } else {
        record->length[i] = argument[declared->length_in];
        if (record->length[i] > limit) {
            verdict = MEZZ_GUARD_TOO_LONG;
        } else if (agent_copy(to, (const void *)argument[i], record->length[i])) {
            verdict = MEZZ_GUARD_UNREADABLE;
        }
    }
    if (verdict == MEZZ_GUARD_ALLOWED) {
        record->copy[i] = (uint64_t)to;
        exchange_used += (record->length[i] + 15) & ~15ul;
    }
    return verdict;
}

/* What is not declared is 0 in a call from outside: the root sees to that. Within a call it has
 * whatever was there, an address of the agent's, too, and is not looked at. */
static enum mezz_guard_verdict take_arguments(const struct mezz_guard_function *function,
                                              const uint64_t *argument, bool outermost,
                                              struct mezz_guard_record *record)
{
    enum mezz_guard_verdict verdict = MEZZ_GUARD_ALLOWED;

    for (unsigned i = 0; i < MEZZ_GUARD_ARGUMENTS; i++) {
        record->argument[i] = argument[i];
    }
    for (unsigned i = 0; i < function->arguments && verdict == MEZZ_GUARD_ALLOWED; i++) {
        const struct mezz_guard_argument *declared = &function->argument[i];
        uint64_t size = size_of(declared, argument);

        /* A function that calls another one passes what is on the agent's stack. */
        if (outermost && is_agents(argument[i], size)) {
            verdict = MEZZ_GUARD_UNREADABLE;
        } else if (declared->kind == MEZZ_GUARD_MEMORY &&
                   size > (declared->limit ? declared->limit : MEZZ_GUARD_MEMORY_LIMIT)) {
            verdict = MEZZ_GUARD_TOO_LONG;
        } else if (mezz_guard_is_copied(declared->kind)) {
            verdict = copy_argument(declared, argument, i, outermost, record);
        }
    }
    return verdict;
}

/* What is no answer is a denial, and not a result that the caller could take for the function's. */
static enum mezz_guard_verdict verdict_of(int64_t *answer)
{
    if (*answer == MEZZ_GUARD_ALLOW) {
        return MEZZ_GUARD_ALLOWED;
    }
    if (*answer == MEZZ_GUARD_KILL) {
        return MEZZ_GUARD_KILLED;
    }
    if (*answer > 0 || *answer < -TINY_ERROR_MAX) {
        *answer = -TINY_EACCES;
    }
    return MEZZ_GUARD_DENIED;
}

static enum mezz_guard_verdict judge(const struct mezz_guard_function *function,
                                     const struct mezz_guard_record *record, int64_t *result)
{
    struct guard_call call;

    for (unsigned i = 0; i < MEZZ_GUARD_ARGUMENTS; i++) {
        call.argument[i] = record->copy[i] ? record->copy[i] : record->argument[i];
        call.length[i] = record->length[i];
        if (record->copy[i] && function->argument[i].kind == MEZZ_GUARD_CSTRING) {
            call.length[i] -= ZERO_BYTE;
        }
    }
    *result = ((guard_callback *)function->callback)(&call);
    /* Whoever is asked sees the same copies, which nobody alters from here on. */
    if (*result == MEZZ_GUARD_ALLOW && guard_plan.flags & MEZZ_GUARD_ASK) {
        struct mezz_guard_record outermost = guard_record;

        guard_record = *record;
        *result = agent_ask();
        guard_record = outermost;
    }
    return verdict_of(result);
}

static struct agent_result run(const struct mezz_guard_function *function,
                               const struct mezz_guard_record *record)
{
    uint64_t argument[MEZZ_GUARD_ARGUMENTS];

    for (unsigned i = 0; i < MEZZ_GUARD_ARGUMENTS; i++) {
        argument[i] = record->copy[i] && guard_plan.flags & MEZZ_GUARD_COPIES ? record->copy[i]
                                                                              : record->argument[i];
    }
    return agent_run_both(function->body, argument);
}

static void begin_nested(void)
{
    guard_nested.calls = 0;
    for (unsigned i = 0; i < MEZZ_GUARD_VERDICTS; i++) {
        guard_nested.verdicts[i] = 0;
    }
}

static void note_nested(const struct mezz_guard_record *record)
{
    guard_nested.verdicts[record->verdict]++;
    if (guard_nested.calls < MEZZ_GUARD_NESTED) {
        struct mezz_guard_nested_call *call = &guard_nested.call[guard_nested.calls];

        call->function = record->function;
        call->verdict = record->verdict;
        for (unsigned i = 0; i < MEZZ_GUARD_ARGUMENTS; i++) {
            call->argument[i] = record->argument[i];
        }
    }
    guard_nested.calls++;
}

/* A call within a call: told of with the outermost one. One that kills ends that, too, whatever
 * the functions in between would make of it. */
static void nested(const struct mezz_guard_record *record)
{
    note_nested(record);
    if (record->verdict == MEZZ_GUARD_KILLED) {
        guard_record = *record;
        agent_kill();
    }
}

/* From guard_enter: argument points at the caller's six registers. */
struct agent_result agent_call(uint32_t index, const uint64_t *argument, uint64_t outermost)
{
    const struct mezz_guard_function *function = &guard_plan.function[index];
    struct mezz_guard_record inner;
    /* The root is told of it when it makes a fault, too. */
    struct mezz_guard_record *record = outermost ? &guard_record : &inner;
    uint64_t used = outermost ? 0 : exchange_used;
    struct agent_result result = {0, argument[2]};
    enum mezz_guard_verdict verdict;

    exchange_used = used;
    *record = (struct mezz_guard_record){.function = index};
    if (outermost) {
        begin_nested();
    }
    verdict = take_arguments(function, argument, outermost, record);
    if (verdict == MEZZ_GUARD_UNREADABLE) {
        result.value = -TINY_EFAULT;
    } else if (verdict == MEZZ_GUARD_TOO_LONG) {
        result.value = -TINY_EINVAL;
    } else {
        verdict = judge(function, record, &result.value);
    }
    record->verdict = verdict;
    if (!outermost) {
        nested(record);
    }
    if (verdict == MEZZ_GUARD_ALLOWED) {
        result = run(function, record);
        if (record->copy[2] && result.second == record->copy[2]) {
            result.second = argument[2]; /* left as it was */
        }
    }
    exchange_used = used;
    return result;
}
