/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "hookguard/hooks/calls.h"
#include "host/hot.h"
#include "mezz/exit.h"

static const char *const names[] = {
    "padding",       "api-nx",       "app-nx",      "gate-sites", "gate-index",
    "read-only",     "agent-hidden", "agent-stack", "copies",     "return-check",
    "mapping-check", "kernel-nx",    "table-check",
};

#define NAMES (sizeof(names) / sizeof(names[0]))

_Static_assert(HOOK_ALL_DEFENCES == (1U << NAMES) - 1, "each has a name");

uint32_t hook_defence_by_name(const char *name)
{
    for (unsigned int i = 0; i < NAMES; i++)
        if (strcmp(names[i], name) == 0)
            return 1U << i;
    return 0;
}

const char *hook_defence_name(unsigned int bit)
{
    return bit < NAMES ? names[bit] : NULL;
}

/* Numbers that L1 is told. */
_Static_assert((unsigned long long)HOOK_REASON_RETURN == MEZZ_GUARD_RETURNED &&
                   (unsigned long long)HOOK_REASON_ASKED == MEZZ_GUARD_ASKED,
               "ABI");
_Static_assert((unsigned long long)HOOK_REASONS <= MEZZ_GUARD_REASON_MASK, "ABI");

static const char *const reason_names[HOOK_REASONS] = {
    [HOOK_REASON_NONE] = "none",
    [HOOK_REASON_CALL] = "call",
    [HOOK_REASON_RETURN] = "return",
    [HOOK_REASON_SYSTEM_CALL] = "system-call",
    [HOOK_REASON_INTERRUPT] = "interrupt",
    [HOOK_REASON_BACK] = "back",
    [HOOK_REASON_UNREADABLE] = "unreadable",
    [HOOK_REASON_ASKED] = "asked",
    [HOOK_REASON_NOT_ENTRY] = "not-an-entry",
    [HOOK_REASON_STRAY_GATE] = "stray-gate",
    [HOOK_REASON_BAD_INDEX] = "bad-index",
    [HOOK_REASON_ALIAS] = "alias",
    [HOOK_REASON_KERNEL_FETCH] = "kernel-fetch",
    [HOOK_REASON_AGENT_FETCH] = "agent-fetch",
    [HOOK_REASON_AGENT_READ] = "agent-read",
    [HOOK_REASON_AGENT_WRITE] = "agent-write",
    [HOOK_REASON_CODE_WRITE] = "code-write",
    [HOOK_REASON_NOT_MAPPED] = "not-mapped",
    [HOOK_REASON_CODE_DIFFERS] = "code-differs",
    [HOOK_REASON_FRAME_TAKEN] = "frame-taken",
    [HOOK_REASON_TOO_MANY_PROGRAMS] = "too-many-programs",
    [HOOK_REASON_REMAPPED] = "remapped",
    [HOOK_REASON_BUSY] = "busy",
    [HOOK_REASON_NO_STACK] = "no-stack",
    [HOOK_REASON_NO_CALL] = "no-call",
    [HOOK_REASON_RETURN_CHANGED] = "return-changed",
    [HOOK_REASON_OUTSIDE] = "outside",
    [HOOK_REASON_AGENT_FAULT] = "agent-fault",
    [HOOK_REASON_KILLED] = "killed",
    [HOOK_REASON_NOT_64_BIT] = "not-64-bit",
    [HOOK_REASON_BAD_ARGUMENT] = "bad-argument",
    [HOOK_REASON_BAD_TABLES] = "bad-tables",
};

const char *hook_reason_name(enum hook_reason reason)
{
    return reason_names[reason];
}

HOT bool hook_is_refusal(enum hook_reason reason)
{
    return reason >= HOOK_REASON_NOT_ENTRY;
}

static const char *const verdict_names[MEZZ_GUARD_VERDICTS] = {
    [MEZZ_GUARD_ALLOWED] = "allowed",   [MEZZ_GUARD_DENIED] = "denied",
    [MEZZ_GUARD_KILLED] = "killed",     [MEZZ_GUARD_UNREADABLE] = "unreadable",
    [MEZZ_GUARD_TOO_LONG] = "too_long",
};

const char *hook_verdict_name(enum mezz_guard_verdict verdict)
{
    return verdict_names[verdict];
}

const char *hook_fault_name(unsigned int vector)
{
    static const char *const faults[] = {
        [0] = "divide-error",   [1] = "debug",        [3] = "breakpoint",
        [4] = "overflow",       [5] = "bound-range",  [6] = "invalid-opcode",
        [7] = "no-device",      [8] = "double-fault", [10] = "invalid-tss",
        [11] = "no-segment",    [12] = "stack-fault", [13] = "general-protection",
        [14] = "page-fault",    [16] = "x87-error",   [17] = "alignment-check",
        [18] = "machine-check", [19] = "simd-error",
    };

    return vector < sizeof(faults) / sizeof(faults[0]) ? faults[vector] : NULL;
}

const char *hook_word(enum hook_reason reason, enum mezz_guard_verdict verdict,
                      enum hook_action action)
{
    static const char *const actions[HOOK_ACTIONS] = {
        [HOOK_NOT_OURS] = "none", [HOOK_GO_ON] = "error",     [HOOK_ASK] = "asked",
        [HOOK_SERVE] = "log",     [HOOK_NOTHING] = "nothing", [HOOK_KILL] = "kill",
        [HOOK_STOP] = "stop",
    };

    if (reason == HOOK_REASON_RETURN)
        return hook_verdict_name(verdict);
    /* The guest's kernel hears of the fault, and ends the program. */
    if (reason == HOOK_REASON_AGENT_FAULT && action == HOOK_GO_ON)
        return actions[HOOK_KILL];
    return hook_is_refusal(reason) || reason == HOOK_REASON_ASKED ? actions[action] : "allowed";
}
