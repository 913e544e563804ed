/* SPDX-License-Identifier: Apache-2.0 */
#include "hookguard/portions/decision.h"

#include <stddef.h>
#include <string.h>

static const char *const verdict_names[VERDICT_KINDS] = {
    [VERDICT_RESUME] = "resume", [VERDICT_SERVE] = "serve",     [VERDICT_SWITCH] = "switch",
    [VERDICT_SCAN] = "scan",     [VERDICT_RELEASE] = "release", [VERDICT_ERROR] = "error",
    [VERDICT_KILL] = "kill",     [VERDICT_STOP] = "stop",
};

static const char *const reason_names[REASON_KINDS] = {
    [REASON_NONE] = "none",
    [REASON_ENTRY] = "entry",
    [REASON_RESUME_POINT] = "resume-point",
    [REASON_RETURN] = "return",
    [REASON_CALL_OUT] = "call-out",
    [REASON_INTERRUPT] = "interrupt",
    [REASON_LEFT] = "left",
    [REASON_INTERRUPT_FRAME] = "interrupt-frame",
    [REASON_OWNER_GONE] = "owner-gone",
    [REASON_REMAPPED] = "remapped",
    [REASON_NOT_ENTRY] = "not-an-entry-point",
    [REASON_RESUME_MOVED] = "resume-point-moved",
    [REASON_TOO_MANY_CALLS] = "too-many-calls",
    [REASON_ALIAS] = "alias",
    [REASON_OTHER_PROGRAM] = "other-program",
    [REASON_NOT_MAPPED] = "not-mapped",
    [REASON_CODE_DIFFERS] = "code-differs",
    [REASON_FRAME_TAKEN] = "frame-taken",
    [REASON_TOO_MANY_PROGRAMS] = "too-many-programs",
    [REASON_KERNEL_FETCH] = "kernel-fetch",
    [REASON_KERNEL_READ] = "kernel-read",
    [REASON_KERNEL_WRITE] = "kernel-write",
    [REASON_READ_OUTSIDE] = "read-outside",
    [REASON_WRITE_OUTSIDE] = "write-outside",
    [REASON_WRITE_CODE] = "write-code",
    [REASON_DATA_FETCH] = "data-fetch",
    [REASON_PATTERN] = "pattern",
    [REASON_NOT_SCANNED] = "not-scanned",
    [REASON_UNSAFE_SPACE] = "unsafe-space",
    [REASON_RETURN_ADDRESS] = "return-address",
    [REASON_STACK_INSIDE] = "stack-inside",
    [REASON_NOT_64_BIT] = "not-64-bit",
    [REASON_DATA_DIFFERS] = "data-differs",
    [REASON_TABLE_INSIDE] = "table-inside",
};

const char *decision_verdict_name(enum decision_verdict verdict)
{
    return verdict_names[verdict];
}

const char *decision_reason_name(enum decision_reason reason)
{
    return reason_names[reason];
}

bool decision_is_refusal(enum decision_reason reason)
{
    return reason >= REASON_NOT_ENTRY;
}

enum decision_reason decision_tolerable_by_name(const char *name)
{
    for (enum decision_reason r = REASON_OWNER_GONE; r < REASON_KINDS; r++)
        if (strcmp(reason_names[r], name) == 0)
            return r;
    return REASON_KINDS;
}

_Static_assert(REASON_NOT_ENTRY == 10 && REASON_UNSAFE_SPACE == 28 && REASON_DATA_DIFFERS == 32 &&
                   REASON_TABLE_INSIDE == 33,
               "docs/portions-policy.md lists the numbers");
_Static_assert(REASON_KINDS <= 64, "decision_request.tolerated has a bit for each");

/* Nothing to switch to: what is only to be logged is an error all the same. */
static bool no_view(enum decision_reason reason)
{
    switch ((int)reason) {
    case REASON_ALIAS:
    case REASON_OTHER_PROGRAM:
    case REASON_NOT_MAPPED:
    case REASON_CODE_DIFFERS:
    case REASON_FRAME_TAKEN:
    case REASON_TOO_MANY_PROGRAMS:
    case REASON_TOO_MANY_CALLS:
    case REASON_KERNEL_FETCH:
    case REASON_DATA_FETCH:
    case REASON_UNSAFE_SPACE:
        return true;
    default:
        return false;
    }
}

static enum decision_verdict logged_only(const struct decision_request *request,
                                         enum decision_reason reason)
{
    if (request->access != ACCESS_FETCH)
        return VERDICT_SERVE;
    return no_view(reason) ? VERDICT_ERROR : VERDICT_SWITCH;
}

static struct decision refuse(const struct decision_request *request, enum decision_reason reason)
{
    struct decision decision = {.reason = reason, .refused = true};

    switch (request->tolerated >> reason & 1 ? REFUSAL_LOG : request->on_refusal) {
    case REFUSAL_LOG:
        decision.verdict = logged_only(request, reason);
        break;
    case REFUSAL_KILL:
        /* The kernel is in no program. */
        decision.verdict = request->cpl == 0 ? VERDICT_ERROR : VERDICT_KILL;
        break;
    case REFUSAL_STOP:
        decision.verdict = VERDICT_STOP;
        break;
    case REFUSAL_ERROR:
    case REFUSAL_KINDS:
    default:
        decision.verdict = VERDICT_ERROR;
        break;
    }
    if (decision.verdict == VERDICT_SWITCH)
        decision.to = request->target;
    /* A kernel whose handlers or tables lie in a portion's pages: it can neither go on nor back. */
    if ((reason == REASON_KERNEL_FETCH && request->from != 0) || reason == REASON_TABLE_INSIDE)
        decision.verdict = VERDICT_STOP;
    return decision;
}

struct decision decision_refuse(const struct decision_request *request, enum decision_reason reason)
{
    struct decision decision = refuse(request, reason);

    if (decision.verdict == VERDICT_SWITCH)
        decision.verdict = VERDICT_ERROR;
    return decision;
}

/* What an identity that may not enter is called; REASON_NONE: it may. */
static const enum decision_reason identity_reason[IDENTITY_KINDS] = {
    [IDENTITY_BOUND] = REASON_NONE,          [IDENTITY_NEW] = REASON_NONE,
    [IDENTITY_OTHER] = REASON_OTHER_PROGRAM, [IDENTITY_REMAPPED] = REASON_REMAPPED,
    [IDENTITY_UNMAPPED] = REASON_NOT_MAPPED, [IDENTITY_DIFFERS] = REASON_CODE_DIFFERS,
    [IDENTITY_TAKEN] = REASON_FRAME_TAKEN,   [IDENTITY_FULL] = REASON_TOO_MANY_PROGRAMS,
};

/* Why the target may not be accessed by a data access from outside; always a refusal. */
static enum decision_reason data_reason(const struct decision_request *request)
{
    bool write = request->access == ACCESS_WRITE;

    if (request->cpl == 0)
        return write ? REASON_KERNEL_WRITE : REASON_KERNEL_READ;
    if (request->alias)
        return REASON_ALIAS;
    if (request->identity == IDENTITY_OTHER)
        return REASON_OTHER_PROGRAM;
    return write ? REASON_WRITE_OUTSIDE : REASON_READ_OUTSIDE;
}

static struct decision decide_data(const struct decision_request *request)
{
    if (request->target == 0)
        return (struct decision){.verdict = VERDICT_RESUME};
    if (request->target == request->from && request->cpl != 0) {
        if (request->access == ACCESS_WRITE && !request->writable)
            return refuse(request, REASON_WRITE_CODE);
        return (struct decision){.verdict = VERDICT_RESUME};
    }
    if (request->gone)
        return (struct decision){.verdict = VERDICT_RELEASE, .reason = REASON_OWNER_GONE};
    return refuse(request, data_reason(request));
}

#define BIT(reason) (1ULL << (reason))

static const enum decision_reason stack_reason[STACK_KINDS] = {
    [STACK_OUTSIDE] = REASON_NONE,
    [STACK_RETURNS_INSIDE] = REASON_RETURN_ADDRESS,
    [STACK_INSIDE] = REASON_STACK_INSIDE,
};

/* Without a former call of its own nothing can be come back to. */
static bool resumes(const struct decision_request *request)
{
    return request->resume == RESUME_EXACT && request->identity == IDENTITY_BOUND;
}

/* Who has no view to come into, whatever is tolerated: the first that holds. */
static enum decision_reason barrier(const struct decision_request *request)
{
    if (request->cpl == 0)
        return REASON_KERNEL_FETCH;
    if (request->alias)
        return REASON_ALIAS;
    if (!request->executable)
        return REASON_DATA_FETCH;
    return identity_reason[request->identity];
}

/* All else that speaks against it. Each is looked at by itself: who tolerates one does not tolerate
 * another that is there at the same time. */
static uint64_t obstacles(const struct decision_request *request)
{
    uint64_t found = 0;

    if (request->other_mode)
        found |= BIT(REASON_NOT_64_BIT);
    if (stack_reason[request->stack] != REASON_NONE)
        found |= BIT(stack_reason[request->stack]);
    if (resumes(request))
        return found;
    if (!request->entry)
        found |= BIT(request->resume == RESUME_MOVED ? REASON_RESUME_MOVED : REASON_NOT_ENTRY);
    if (!request->room)
        found |= BIT(REASON_TOO_MANY_CALLS);
    if (request->altered)
        found |= BIT(REASON_DATA_DIFFERS);
    return found;
}

/* Those that keep it out; 0: it comes in, and they are logged. */
static uint64_t that_keep_out(const struct decision_request *request, uint64_t found)
{
    const uint64_t tolerated = request->on_refusal == REFUSAL_LOG ? UINT64_MAX : request->tolerated;

    return found & (~tolerated | BIT(REASON_TOO_MANY_CALLS));
}

/* Which of them it is called. */
static enum decision_reason name_of(uint64_t found)
{
    static const enum decision_reason order[] = {
        REASON_NOT_64_BIT,     REASON_RESUME_MOVED, REASON_NOT_ENTRY,
        REASON_RETURN_ADDRESS, REASON_STACK_INSIDE, REASON_TOO_MANY_CALLS,
        REASON_DATA_DIFFERS,   REASON_PATTERN,      REASON_NOT_SCANNED,
    };

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        if (found & BIT(order[i]))
            return order[i];
    return REASON_NONE;
}

/* The portion that is left, if there is one, in a fetch that is allowed. */
static void leave(const struct decision_request *request, struct decision *decision)
{
    if (request->from == 0)
        return;
    decision->remember = request->leave == LEAVE_CALL || request->leave == LEAVE_INTERRUPT;
    decision->ends = !decision->remember;
}

static struct decision come_in(const struct decision_request *request, uint64_t found)
{
    const uint64_t decisive = that_keep_out(request, found);
    const enum decision_reason reason = name_of(decisive != 0 ? decisive : found);
    struct decision decision = {.verdict = VERDICT_SWITCH,
                                .reason = resumes(request) ? REASON_RESUME_POINT : REASON_ENTRY,
                                .to = request->target};

    if (reason != REASON_NONE) {
        decision = refuse(request, reason);
        decision.also = found & ~BIT(reason);
    }
    decision.resumes = decision.verdict == VERDICT_SWITCH && resumes(request);
    if (decision.verdict == VERDICT_SWITCH)
        leave(request, &decision);
    return decision;
}

static struct decision decide_entry(const struct decision_request *request)
{
    const enum decision_reason no_way = barrier(request);
    uint64_t found;

    if (request->gone)
        return (struct decision){.verdict = VERDICT_RELEASE, .reason = REASON_OWNER_GONE};
    /* Whoever mapped something else there has lost what was there. */
    if (no_way == REASON_REMAPPED)
        return (struct decision){.verdict = VERDICT_RELEASE, .reason = REASON_REMAPPED};
    if (no_way != REASON_NONE)
        return refuse(request, no_way);
    found = obstacles(request);
    /* What stays out anyway need not be scanned. */
    if (that_keep_out(request, found) == 0) {
        if (request->scan == SCAN_DUE)
            return (struct decision){.verdict = VERDICT_SCAN};
        if (request->scan == SCAN_MATCHED)
            found |= BIT(REASON_PATTERN);
        else if (request->scan != SCAN_CLEAN)
            found |= BIT(REASON_NOT_SCANNED);
    }
    return come_in(request, found);
}

static struct decision decide_leave(const struct decision_request *request)
{
    static const enum decision_reason reasons[LEAVE_KINDS] = {
        [LEAVE_RETURN] = REASON_RETURN,       [LEAVE_CALL] = REASON_CALL_OUT,
        [LEAVE_INTERRUPT] = REASON_INTERRUPT, [LEAVE_FORGED] = REASON_INTERRUPT_FRAME,
        [LEAVE_OTHER] = REASON_LEFT,
    };
    struct decision decision = {.verdict = VERDICT_SWITCH, .reason = reasons[request->leave]};

    leave(request, &decision);
    return decision;
}

struct decision decide(const struct decision_request *request)
{
    if (request->access != ACCESS_FETCH)
        return decide_data(request);
    if (request->target == 0 && request->from == 0)
        return (struct decision){.verdict = VERDICT_RESUME};
    if (request->target == 0)
        return decide_leave(request);
    if (request->target == request->from && request->cpl != 0)
        return request->executable ? (struct decision){.verdict = VERDICT_RESUME}
                                   : refuse(request, REASON_DATA_FETCH);
    return decide_entry(request);
}
