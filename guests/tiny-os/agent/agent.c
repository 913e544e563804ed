/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include <stddef.h>

#define ZERO_BYTE     1 /* at the end of a text */
#define EXCHANGE_SIZE 16384

int64_t agent_call(uint32_t index, const uint64_t *argument, uint64_t outermost);
int agent_copy(void *to, const void *from, uint64_t n);
int64_t agent_ask(void);

extern const struct mezz_guard_plan guard_plan;
extern char guard_exchange[EXCHANGE_SIZE];
extern struct mezz_guard_record guard_record;

struct mezz_guard_record guard_record;
static uint64_t exchange_used;

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
static enum mezz_guard_verdict copy_text(char *to, uint64_t from, uint64_t limit, uint64_t *size)
{
    uint64_t done = 0;

    while (done < limit) {
        uint64_t n = 4096 - (from + done) % 4096;

        if (n > limit - done) {
            n = limit - done;
        }
        if (agent_copy(to + done, (const void *)(from + done), n)) {
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

static enum mezz_guard_verdict copy_argument(const struct mezz_guard_argument *declared,
                                             const uint64_t *argument, unsigned i,
                                             struct mezz_guard_record *record)
{
    char *to = guard_exchange + exchange_used;
    uint64_t room = EXCHANGE_SIZE - exchange_used;
    uint64_t limit = declared->limit < room ? declared->limit : room;
    enum mezz_guard_verdict verdict = MEZZ_GUARD_ALLOWED;

    if (declared->kind == MEZZ_GUARD_VALUE) {
        return MEZZ_GUARD_ALLOWED;
    }
    if (declared->kind == MEZZ_GUARD_CSTRING) {
        verdict = copy_text(to, argument[i], limit, &record->length[i]);
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

static enum mezz_guard_verdict verdict_of(int64_t answer)
{
    if (answer == MEZZ_GUARD_ALLOW) {
        return MEZZ_GUARD_ALLOWED;
    }
    return answer == MEZZ_GUARD_KILL ? MEZZ_GUARD_KILLED : MEZZ_GUARD_DENIED;
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
        guard_record = *record;
        *result = agent_ask();
    }
    return verdict_of(*result);
}

static int64_t run(const struct mezz_guard_function *function,
                   const struct mezz_guard_record *record)
{
    uint64_t argument[MEZZ_GUARD_ARGUMENTS];

    for (unsigned i = 0; i < MEZZ_GUARD_ARGUMENTS; i++) {
        argument[i] = record->copy[i] && guard_plan.flags & MEZZ_GUARD_COPIES ? record->copy[i]
                                                                              : record->argument[i];
    }
    return agent_run(function->body, argument);
}

/* From guard_enter: argument points at the caller's six registers. */
int64_t agent_call(uint32_t index, const uint64_t *argument, uint64_t outermost)
{
    const struct mezz_guard_function *function = &guard_plan.function[index];
    struct mezz_guard_record record = {.function = index};
    enum mezz_guard_verdict verdict = MEZZ_GUARD_ALLOWED;
    uint64_t used = outermost ? 0 : exchange_used;
    int64_t result = 0;

    exchange_used = used;
    for (unsigned i = 0; i < MEZZ_GUARD_ARGUMENTS; i++) {
        record.argument[i] = argument[i];
    }
    for (unsigned i = 0; i < function->arguments && verdict == MEZZ_GUARD_ALLOWED; i++) {
        verdict = copy_argument(&function->argument[i], argument, i, &record);
    }
    if (verdict == MEZZ_GUARD_UNREADABLE) {
        result = -TINY_EFAULT;
    } else if (verdict == MEZZ_GUARD_TOO_LONG) {
        result = -TINY_EINVAL;
    } else {
        verdict = judge(function, &record, &result);
    }
    if (verdict == MEZZ_GUARD_ALLOWED) {
        result = run(function, &record);
    }
    record.verdict = verdict;
    exchange_used = used;
    if (outermost) {
        guard_record = record;
    }
    return result;
}
