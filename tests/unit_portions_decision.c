/* SPDX-License-Identifier: Apache-2.0 */
/* The decision as a truth table, and what holds for each of all possible requests. */
#include "hookguard/portions/decision.h"

#include <string.h>

#include "runner.h"

/* An entry into portion 1 that is allowed; each row alters something. */
static struct decision_request entering(void)
{
    return (struct decision_request){.access = ACCESS_FETCH,
                                     .cpl = 3,
                                     .target = 1,
                                     .executable = true,
                                     .entry = true,
                                     .room = true,
                                     .on_refusal = REFUSAL_KILL};
}

enum change {
    NOTHING,
    KERNEL = 1 << 0,
    ALIAS = 1 << 1,
    DATA_PAGE = 1 << 2,
    NO_ENTRY = 1 << 3,
    EXACT = 1 << 4,
    MOVED = 1 << 5,
    NO_ROOM = 1 << 6,
    GONE = 1 << 7,
    RETURNS_IN = 1 << 8,
    STACK_IN = 1 << 9,
    OTHER_MODE = 1 << 10,
    ALTERED = 1 << 11
};

static const struct {
    unsigned int changes;
    enum portion_identity identity;
    enum portion_scan scan;
    enum decision_verdict verdict;
    enum decision_reason reason;
} entries[] = {
    /* allowed */
    {NOTHING, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_SWITCH, REASON_ENTRY},
    {NOTHING, IDENTITY_NEW, SCAN_CLEAN, VERDICT_SWITCH, REASON_ENTRY},
    {NO_ENTRY | EXACT, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_SWITCH, REASON_RESUME_POINT},
    {NO_ENTRY | EXACT | NO_ROOM, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_SWITCH, REASON_RESUME_POINT},
    {EXACT, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_SWITCH, REASON_RESUME_POINT},
    {MOVED, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_SWITCH, REASON_ENTRY},
    {NOTHING, IDENTITY_BOUND, SCAN_DUE, VERDICT_SCAN, REASON_NONE},
    {NO_ENTRY | EXACT, IDENTITY_BOUND, SCAN_DUE, VERDICT_SCAN, REASON_NONE},
    /* refused */
    {NO_ENTRY, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_KILL, REASON_NOT_ENTRY},
    {NO_ENTRY, IDENTITY_BOUND, SCAN_DUE, VERDICT_KILL, REASON_NOT_ENTRY},
    {NO_ENTRY, IDENTITY_NEW, SCAN_CLEAN, VERDICT_KILL, REASON_NOT_ENTRY},
    {NO_ENTRY | EXACT, IDENTITY_NEW, SCAN_CLEAN, VERDICT_KILL, REASON_NOT_ENTRY},
    {NO_ENTRY | MOVED, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_KILL, REASON_RESUME_MOVED},
    {NO_ROOM, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_KILL, REASON_TOO_MANY_CALLS},
    {KERNEL, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_ERROR, REASON_KERNEL_FETCH},
    {KERNEL | EXACT, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_ERROR, REASON_KERNEL_FETCH},
    {ALIAS, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_KILL, REASON_ALIAS},
    {ALIAS | EXACT, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_KILL, REASON_ALIAS},
    {DATA_PAGE, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_KILL, REASON_DATA_FETCH},
    {NOTHING, IDENTITY_OTHER, SCAN_CLEAN, VERDICT_KILL, REASON_OTHER_PROGRAM},
    {NOTHING, IDENTITY_UNMAPPED, SCAN_CLEAN, VERDICT_KILL, REASON_NOT_MAPPED},
    {NOTHING, IDENTITY_DIFFERS, SCAN_CLEAN, VERDICT_KILL, REASON_CODE_DIFFERS},
    {NOTHING, IDENTITY_TAKEN, SCAN_CLEAN, VERDICT_KILL, REASON_FRAME_TAKEN},
    {NOTHING, IDENTITY_FULL, SCAN_CLEAN, VERDICT_KILL, REASON_TOO_MANY_PROGRAMS},
    {NOTHING, IDENTITY_BOUND, SCAN_MATCHED, VERDICT_KILL, REASON_PATTERN},
    {NO_ENTRY | EXACT, IDENTITY_BOUND, SCAN_MATCHED, VERDICT_KILL, REASON_PATTERN},
    {NOTHING, IDENTITY_NEW, SCAN_FAILED, VERDICT_KILL, REASON_NOT_SCANNED},
    {RETURNS_IN, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_KILL, REASON_RETURN_ADDRESS},
    {STACK_IN, IDENTITY_NEW, SCAN_DUE, VERDICT_KILL, REASON_STACK_INSIDE},
    {EXACT | RETURNS_IN, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_KILL, REASON_RETURN_ADDRESS},
    {NO_ENTRY | STACK_IN, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_KILL, REASON_NOT_ENTRY},
    {OTHER_MODE, IDENTITY_NEW, SCAN_CLEAN, VERDICT_KILL, REASON_NOT_64_BIT},
    {OTHER_MODE | EXACT, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_KILL, REASON_NOT_64_BIT},
    {OTHER_MODE | KERNEL, IDENTITY_BOUND, SCAN_CLEAN, VERDICT_ERROR, REASON_KERNEL_FETCH},
    {ALTERED, IDENTITY_NEW, SCAN_CLEAN, VERDICT_KILL, REASON_DATA_DIFFERS},
    {ALTERED, IDENTITY_NEW, SCAN_DUE, VERDICT_KILL, REASON_DATA_DIFFERS},
    {ALTERED | NO_ENTRY, IDENTITY_NEW, SCAN_CLEAN, VERDICT_KILL, REASON_NOT_ENTRY},
    {ALTERED | STACK_IN, IDENTITY_NEW, SCAN_CLEAN, VERDICT_KILL, REASON_STACK_INSIDE},
    /* released */
    {NOTHING, IDENTITY_REMAPPED, SCAN_CLEAN, VERDICT_RELEASE, REASON_REMAPPED},
    {NO_ENTRY | EXACT, IDENTITY_REMAPPED, SCAN_CLEAN, VERDICT_RELEASE, REASON_REMAPPED},
    {GONE, IDENTITY_OTHER, SCAN_CLEAN, VERDICT_RELEASE, REASON_OWNER_GONE},
};

static struct decision_request entry_row(size_t i)
{
    struct decision_request request = entering();
    unsigned int changes = entries[i].changes;

    request.cpl = changes & KERNEL ? 0 : 3;
    request.alias = changes & ALIAS;
    request.executable = !(changes & DATA_PAGE);
    request.entry = !(changes & NO_ENTRY);
    request.resume = changes & EXACT ? RESUME_EXACT : changes & MOVED ? RESUME_MOVED : RESUME_NONE;
    request.room = !(changes & NO_ROOM);
    request.gone = changes & GONE;
    request.other_mode = changes & OTHER_MODE;
    request.altered = changes & ALTERED;
    request.stack = changes & RETURNS_IN ? STACK_RETURNS_INSIDE
                    : changes & STACK_IN ? STACK_INSIDE
                                         : STACK_OUTSIDE;
    request.identity = entries[i].identity;
    request.scan = entries[i].scan;
    return request;
}

START_TEST(entry)
{
    struct decision_request request = entry_row((size_t)_i);
    struct decision decision = decide(&request);

    ck_assert_str_eq(decision_reason_name(decision.reason),
                     decision_reason_name(entries[_i].reason));
    ck_assert_str_eq(decision_verdict_name(decision.verdict),
                     decision_verdict_name(entries[_i].verdict));
    ck_assert_uint_eq(decision.to, decision.verdict == VERDICT_SWITCH ? 1 : 0);
    ck_assert_int_eq(decision.refused, decision_is_refusal(decision.reason));
    ck_assert(!decision.remember && !decision.ends);
}
END_TEST

/* Data: who reads or writes what from where. */
static const struct {
    enum portion_access access;
    unsigned int cpl;
    uint32_t from, target;
    unsigned int changes;
    enum portion_identity identity;
    bool writable;
    enum decision_verdict verdict;
    enum decision_reason reason;
} data[] = {
    /* not ours, or its own */
    {ACCESS_READ, 3, 0, 0, 0, IDENTITY_BOUND, false, VERDICT_RESUME, REASON_NONE},
    {ACCESS_WRITE, 0, 0, 0, 0, IDENTITY_BOUND, false, VERDICT_RESUME, REASON_NONE},
    {ACCESS_WRITE, 3, 1, 0, 0, IDENTITY_BOUND, false, VERDICT_RESUME, REASON_NONE},
    {ACCESS_READ, 3, 1, 1, 0, IDENTITY_BOUND, false, VERDICT_RESUME, REASON_NONE},
    {ACCESS_WRITE, 3, 1, 1, 0, IDENTITY_BOUND, true, VERDICT_RESUME, REASON_NONE},
    /* refused */
    {ACCESS_WRITE, 3, 1, 1, 0, IDENTITY_BOUND, false, VERDICT_KILL, REASON_WRITE_CODE},
    {ACCESS_READ, 3, 0, 1, 0, IDENTITY_BOUND, true, VERDICT_KILL, REASON_READ_OUTSIDE},
    {ACCESS_WRITE, 3, 0, 1, 0, IDENTITY_BOUND, true, VERDICT_KILL, REASON_WRITE_OUTSIDE},
    {ACCESS_READ, 3, 2, 1, 0, IDENTITY_BOUND, true, VERDICT_KILL, REASON_READ_OUTSIDE},
    {ACCESS_WRITE, 3, 2, 1, 0, IDENTITY_BOUND, true, VERDICT_KILL, REASON_WRITE_OUTSIDE},
    {ACCESS_READ, 3, 0, 1, 0, IDENTITY_NEW, true, VERDICT_KILL, REASON_READ_OUTSIDE},
    {ACCESS_READ, 3, 0, 1, 0, IDENTITY_OTHER, true, VERDICT_KILL, REASON_OTHER_PROGRAM},
    {ACCESS_WRITE, 3, 0, 1, 0, IDENTITY_OTHER, true, VERDICT_KILL, REASON_OTHER_PROGRAM},
    {ACCESS_READ, 3, 0, 1, ALIAS, IDENTITY_BOUND, true, VERDICT_KILL, REASON_ALIAS},
    {ACCESS_WRITE, 3, 0, 1, ALIAS, IDENTITY_OTHER, true, VERDICT_KILL, REASON_ALIAS},
    {ACCESS_READ, 0, 0, 1, 0, IDENTITY_BOUND, true, VERDICT_ERROR, REASON_KERNEL_READ},
    {ACCESS_WRITE, 0, 0, 1, ALIAS, IDENTITY_BOUND, true, VERDICT_ERROR, REASON_KERNEL_WRITE},
    {ACCESS_READ, 0, 1, 1, 0, IDENTITY_BOUND, true, VERDICT_ERROR, REASON_KERNEL_READ},
    /* the owner is gone */
    {ACCESS_READ, 3, 0, 1, GONE, IDENTITY_OTHER, true, VERDICT_RELEASE, REASON_OWNER_GONE},
    {ACCESS_WRITE, 0, 0, 1, GONE, IDENTITY_OTHER, true, VERDICT_RELEASE, REASON_OWNER_GONE},
};

START_TEST(data_access)
{
    struct decision_request request = {.access = data[_i].access,
                                       .cpl = data[_i].cpl,
                                       .from = data[_i].from,
                                       .target = data[_i].target,
                                       .alias = data[_i].changes & ALIAS,
                                       .gone = data[_i].changes & GONE,
                                       .writable = data[_i].writable,
                                       .identity = data[_i].identity,
                                       .on_refusal = REFUSAL_KILL};
    struct decision decision = decide(&request);

    ck_assert_str_eq(decision_reason_name(decision.reason), decision_reason_name(data[_i].reason));
    ck_assert_int_eq(decision.verdict, data[_i].verdict);
    ck_assert(!decision.remember && !decision.ends);
}
END_TEST

/* Out of portion 1: to the program or its kernel, or into portion 2. */
static const struct {
    enum portion_leave leave;
    enum decision_reason reason;
    bool remember;
} leaves[] = {{LEAVE_RETURN, REASON_RETURN, false},
              {LEAVE_CALL, REASON_CALL_OUT, true},
              {LEAVE_INTERRUPT, REASON_INTERRUPT, true},
              {LEAVE_FORGED, REASON_INTERRUPT_FRAME, false},
              {LEAVE_OTHER, REASON_LEFT, false}};

START_TEST(leaving)
{
    struct decision_request request = entering();
    struct decision decision;

    request.from = 1;
    request.target = 0;
    request.leave = leaves[_i].leave;
    decision = decide(&request);
    ck_assert_int_eq(decision.verdict, VERDICT_SWITCH);
    ck_assert_int_eq(decision.reason, leaves[_i].reason);
    ck_assert_uint_eq(decision.to, 0);
    ck_assert(!decision.refused);
    ck_assert_int_eq(decision.remember, leaves[_i].remember);
    ck_assert_int_eq(decision.ends, !leaves[_i].remember);

    request.target = 2;
    decision = decide(&request);
    ck_assert_int_eq(decision.verdict, VERDICT_SWITCH);
    ck_assert_int_eq(decision.reason, REASON_ENTRY);
    ck_assert_uint_eq(decision.to, 2);
    ck_assert_int_eq(decision.remember, leaves[_i].remember);

    /* What is refused leaves nothing. */
    request.entry = false;
    decision = decide(&request);
    ck_assert_int_eq(decision.verdict, VERDICT_KILL);
    ck_assert_int_eq(decision.reason, REASON_NOT_ENTRY);
    ck_assert(!decision.remember && !decision.ends);
}
END_TEST

START_TEST(inside)
{
    struct decision_request request = entering();

    request.from = 1;
    request.entry = false;
    ck_assert_int_eq(decide(&request).verdict, VERDICT_RESUME);
    request.cpl = 0;
    ck_assert_int_eq(decide(&request).reason, REASON_KERNEL_FETCH);
    ck_assert_int_eq(decide(&request).verdict, VERDICT_STOP);
    request.cpl = 3;
    request.executable = false;
    ck_assert_int_eq(decide(&request).reason, REASON_DATA_FETCH);
    request.target = 0;
    request.from = 0;
    ck_assert_int_eq(decide(&request).verdict, VERDICT_RESUME);
}
END_TEST

/* What the stack chose, for an entry elsewhere, for a read, and for the kernel's read. */
static const enum decision_verdict choices[REFUSAL_KINDS][3] = {
    [REFUSAL_LOG] = {VERDICT_SWITCH, VERDICT_SERVE, VERDICT_SERVE},
    [REFUSAL_ERROR] = {VERDICT_ERROR, VERDICT_ERROR, VERDICT_ERROR},
    [REFUSAL_KILL] = {VERDICT_KILL, VERDICT_KILL, VERDICT_ERROR},
    [REFUSAL_STOP] = {VERDICT_STOP, VERDICT_STOP, VERDICT_STOP},
};

START_TEST(choice)
{
    struct decision_request request = entering();
    struct decision decision;

    request.on_refusal = (enum portion_refusal)_i;
    request.entry = false;
    decision = decide(&request);
    ck_assert_int_eq(decision.verdict, choices[_i][0]);
    ck_assert(decision.refused);
    ck_assert_uint_eq(decision.to, _i == REFUSAL_LOG ? 1 : 0);
    request.access = ACCESS_READ;
    ck_assert_int_eq(decide(&request).verdict, choices[_i][1]);
    request.cpl = 0;
    ck_assert_int_eq(decide(&request).verdict, choices[_i][2]);
    /* Where there is no view to switch to, logging alone does not help. */
    request.access = ACCESS_FETCH;
    ck_assert_int_ne(decide(&request).verdict, VERDICT_SWITCH);
    request.cpl = 3;
    for (unsigned int i = IDENTITY_OTHER; i < IDENTITY_KINDS; i++) {
        request.identity = (enum portion_identity)i;
        ck_assert_int_ne(decide(&request).verdict, VERDICT_SWITCH);
    }
}
END_TEST

/* Check notes each assertion, which takes its time in millions. */
#define HOLDS(condition)                    \
    do {                                    \
        if (!(condition))                   \
            ck_abort_msg("%s", #condition); \
    } while (0)

static bool has(const struct decision *decision, enum decision_reason one,
                enum decision_reason other)
{
    const uint64_t reasons = 1ULL << decision->reason | decision->also;

    return (reasons >> one | reasons >> other) & 1;
}

static bool resumes(const struct decision_request *request)
{
    return request->resume == RESUME_EXACT && request->identity == IDENTITY_BOUND;
}

/* What may never be, whatever the request. */
static void check_rules(const struct decision_request *request, const struct decision *decision)
{
    bool comes_in = decision->verdict == VERDICT_SWITCH && decision->to != 0;
    bool lets = request->on_refusal == REFUSAL_LOG && decision->refused;
    bool own = request->from == request->target && request->cpl == 3;

    HOLDS(decision->refused == decision_is_refusal(decision->reason));
    HOLDS(!decision->remember || !decision->ends);
    if (comes_in) {
        HOLDS(decision->to == request->target);
        HOLDS(request->access == ACCESS_FETCH && request->cpl == 3 && !request->alias);
        HOLDS(request->executable && request->identity <= IDENTITY_NEW);
        HOLDS(lets || request->entry || request->resume == RESUME_EXACT);
        HOLDS(lets || request->scan == SCAN_CLEAN);
        HOLDS(lets || request->stack == STACK_OUTSIDE);
        HOLDS(lets || !request->altered);
        /* Each that is there was looked at, and is logged. */
        HOLDS(request->scan == SCAN_CLEAN || has(decision, REASON_PATTERN, REASON_NOT_SCANNED));
        HOLDS(request->entry || resumes(request) ||
              has(decision, REASON_NOT_ENTRY, REASON_RESUME_MOVED));
        HOLDS(request->stack == STACK_OUTSIDE ||
              has(decision, REASON_RETURN_ADDRESS, REASON_STACK_INSIDE));
        HOLDS(!request->altered || has(decision, REASON_DATA_DIFFERS, REASON_DATA_DIFFERS));
        HOLDS(decision->resumes == resumes(request));
    }
    if (request->target != 0 && !own && request->access != ACCESS_FETCH)
        HOLDS(decision->refused || decision->verdict == VERDICT_RELEASE);
    if (decision->verdict == VERDICT_SERVE)
        HOLDS(lets && request->access != ACCESS_FETCH);
    if (decision->verdict == VERDICT_RESUME)
        HOLDS(request->target == 0 || own);
    if (decision->remember)
        HOLDS(request->from != 0 && decision->verdict == VERDICT_SWITCH);
    if (decision->verdict >= VERDICT_ERROR)
        HOLDS(decision->refused);
}

static void check_outcomes(struct decision_request *request)
{
    for (unsigned int scan = 0; scan < SCAN_KINDS; scan++)
        for (unsigned int leave = 0; leave < LEAVE_KINDS; leave++)
            for (unsigned int choice_ = 0; choice_ < REFUSAL_KINDS; choice_++) {
                struct decision decision;

                request->scan = (enum portion_scan)scan;
                request->leave = (enum portion_leave)leave;
                request->on_refusal = (enum portion_refusal)choice_;
                decision = decide(request);
                check_rules(request, &decision);
            }
}

/* Who tolerates one refusal tolerates no other, and has it in the log. */
static void check_tolerated(struct decision_request *request)
{
    static const enum decision_reason reasons[] = {
        REASON_NOT_ENTRY,    REASON_RESUME_MOVED, REASON_RETURN_ADDRESS,
        REASON_DATA_DIFFERS, REASON_PATTERN,      REASON_NOT_SCANNED,
    };

    request->on_refusal = REFUSAL_KILL;
    for (unsigned int scan = 0; scan < SCAN_KINDS; scan++)
        for (size_t i = 0; i < ELEMENTS(reasons); i++) {
            struct decision decision;

            request->scan = (enum portion_scan)scan;
            request->tolerated = 1ULL << reasons[i];
            decision = decide(request);
            if (decision.verdict != VERDICT_SWITCH || decision.to == 0)
                continue;
            HOLDS(decision.also == 0);
            HOLDS(!decision.refused || decision.reason == reasons[i]);
            HOLDS(request->scan == SCAN_CLEAN || decision.refused);
            HOLDS(request->entry || resumes(request) || decision.refused);
            HOLDS(request->stack == STACK_OUTSIDE || decision.refused);
            HOLDS(!request->altered || decision.refused);
        }
    request->tolerated = 0;
}

START_TEST(all_requests)
{
    const unsigned int parts = 3 * 3 * IDENTITY_KINDS * RESUME_KINDS;

    for (unsigned int i = 0; i < parts; i++)
        for (unsigned int bits = 0; bits < 512; bits++) {
            struct decision_request request = {
                .access = (enum portion_access)_i,
                .from = i % 3,
                .target = i / 3 % 3,
                .identity = (enum portion_identity)(i / 9 % IDENTITY_KINDS),
                .resume = (enum portion_resume)(i / 9 / IDENTITY_KINDS),
                .cpl = bits & 1 ? 3 : 0,
                .alias = bits & 2,
                .gone = bits & 4,
                .writable = bits & 8,
                .executable = bits & 16,
                .entry = bits & 32,
                .room = bits & 64,
                .stack = bits & 128 ? STACK_RETURNS_INSIDE : STACK_OUTSIDE,
                .altered = bits & 256 && i / 9 % IDENTITY_KINDS == IDENTITY_NEW,
            };

            check_outcomes(&request);
            check_tolerated(&request);
        }
}
END_TEST

START_TEST(names)
{
    for (unsigned int i = 0; i < REASON_KINDS; i++)
        for (unsigned int j = 0; j < i; j++)
            ck_assert_str_ne(decision_reason_name((enum decision_reason)i),
                             decision_reason_name((enum decision_reason)j));
    for (unsigned int i = 0; i < VERDICT_KINDS; i++)
        ck_assert_uint_gt(strlen(decision_verdict_name((enum decision_verdict)i)), 0);
}
END_TEST

/* One reason is only logged, the others are as before. */
START_TEST(tolerated)
{
    struct decision_request request = entering();
    struct decision decision;

    request.entry = false;
    request.identity = IDENTITY_BOUND;
    request.tolerated = 1ULL << REASON_NOT_ENTRY;
    decision = decide(&request);
    ck_assert_int_eq(decision.verdict, VERDICT_SWITCH);
    ck_assert_int_eq(decision.reason, REASON_NOT_ENTRY);
    ck_assert(decision.refused);
    request.tolerated = ~(1ULL << REASON_NOT_ENTRY);
    ck_assert_int_eq(decide(&request).verdict, VERDICT_KILL);
    request.access = ACCESS_READ;
    request.tolerated = 1ULL << REASON_READ_OUTSIDE;
    ck_assert_int_eq(decide(&request).verdict, VERDICT_SERVE);
    request.cpl = 0;
    ck_assert_int_eq(decide(&request).verdict, VERDICT_ERROR);
    ck_assert_int_eq(decide(&request).reason, REASON_KERNEL_READ);
}
END_TEST

/* What decide() never says itself. */
START_TEST(refused_later)
{
    struct decision_request request = entering();

    ck_assert_int_eq(decision_refuse(&request, REASON_UNSAFE_SPACE).verdict, VERDICT_KILL);
    request.on_refusal = REFUSAL_LOG;
    ck_assert_int_eq(decision_refuse(&request, REASON_UNSAFE_SPACE).verdict, VERDICT_ERROR);
    ck_assert_int_eq(decision_refuse(&request, REASON_NOT_ENTRY).verdict, VERDICT_ERROR);
    ck_assert(decision_refuse(&request, REASON_NOT_ENTRY).refused);
    request.tolerated = UINT64_MAX;
    ck_assert_int_eq(decision_refuse(&request, REASON_TABLE_INSIDE).verdict, VERDICT_STOP);
}
END_TEST

START_TEST(tolerable_by_name)
{
    for (enum decision_reason r = REASON_NONE; r < REASON_KINDS; r++)
        ck_assert_int_eq(decision_tolerable_by_name(decision_reason_name(r)),
                         decision_is_refusal(r) || r == REASON_OWNER_GONE || r == REASON_REMAPPED
                             ? r
                             : REASON_KINDS);
    ck_assert_int_eq(decision_tolerable_by_name(""), REASON_KINDS);
}
END_TEST

RUN_CASES("portions_decision", 120, ONCE(tolerated), ONCE(refused_later), ONCE(tolerable_by_name),
          EACH(entry, ELEMENTS(entries)), EACH(data_access, ELEMENTS(data)),
          EACH(leaving, ELEMENTS(leaves)), ONCE(inside), EACH(choice, REFUSAL_KINDS),
          EACH(all_requests, ACCESS_KINDS), ONCE(names))
