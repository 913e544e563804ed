/* SPDX-License-Identifier: Apache-2.0 */
/* The guard on a small machine of the test's own: address spaces that map pages to frames. Each
 * test is a story, most of them an attacker's. */
#include "hookguard/guard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/memory.h"
#include "runner.h"
#include "unit_portions_builder.h"

#define FRAMES  64
#define SIGN    0x402000U
#define CHECK   0x402040U
#define MIDDLE  0x402033U
#define KEY     0x406000U
#define MAIN    0x401010U
#define HANDLER 0xffffffff80110000U
#define STACK   0x3fffe000U

/* Frames 1 and 2 have the code, 3 the key of the first process. */
static uint8_t frames[FRAMES][PAGE_SIZE];
static uint64_t generations[FRAMES];
static struct {
    uint64_t cr3, linear, frame;
} maps[64];
static size_t map_count;

static struct portion_table table;
static struct guard *guard;
static struct guard_vcpu vcpu;
static struct guard_outcome outcome;

static int translate(void *context, uint64_t cr3, uint64_t linear, uint64_t *frame)
{
    (void)context;
    for (size_t i = 0; i < map_count; i++)
        if (maps[i].cr3 == cr3 && maps[i].linear == linear) {
            *frame = maps[i].frame;
            return 0;
        }
    return -EFAULT;
}

static int read_frame(void *context, uint64_t frame, void *to)
{
    (void)context;
    if (frame / PAGE_SIZE >= FRAMES)
        return -EFAULT;
    memcpy(to, frames[frame / PAGE_SIZE], PAGE_SIZE);
    return 0;
}

static int wipe(void *context, uint64_t frame)
{
    (void)context;
    memset(frames[frame / PAGE_SIZE], 0, PAGE_SIZE);
    generations[frame / PAGE_SIZE]++;
    return 0;
}

static uint64_t generation(void *context, uint64_t frame)
{
    (void)context;
    return generations[frame / PAGE_SIZE];
}

static const struct guard_memory memory = {translate, read_frame, wipe, generation, NULL};

/* Maps anew, or with frame 0 not at all. */
static void map(uint64_t cr3, uint64_t linear, uint64_t frame)
{
    for (size_t i = 0; i < map_count; i++)
        if (maps[i].cr3 == cr3 && maps[i].linear == linear)
            maps[i] = maps[--map_count];
    if (frame == 0)
        return;
    maps[map_count].cr3 = cr3;
    maps[map_count].linear = linear;
    maps[map_count++].frame = frame * PAGE_SIZE;
}

static void map_process(uint64_t cr3, uint64_t code, uint64_t data)
{
    map(cr3, SIGN, code);
    map(cr3, SIGN + PAGE_SIZE, code + 1);
    map(cr3, KEY, data);
}

static void setup_rules(const char *rules, enum portion_refusal on_refusal)
{
    static const char *const sections[] = {".vault", ".secret"};
    static const char *const entries[] = {"sign", "check"};
    struct portion_declaration declaration = {.program = "vault",
                                              .name = "crypto",
                                              .parts = {.section = sections, .sections = 2},
                                              .entry = entries,
                                              .entries = 2,
                                              .on_refusal = on_refusal};
    struct error error;
    size_t size;
    const uint8_t *bytes = built_program(0, &size);

    portion_table_init(&table);
    ck_assert_int_eq(portion_table_add_program(&table, "vault", bytes, size, &error), 0);
    if (rules != NULL)
        ck_assert_int_eq(
            patterns_compile(&declaration.patterns, "x.yar", rules, strlen(rules), &error), 0);
    ck_assert_msg(portion_table_add(&table, &declaration, &error) == 0, "%s", error.text);
    ck_assert_int_eq(guard_create(&guard, &table, &memory), 0);
    program_page(&table.program[0], SIGN, frames[1]);
    program_page(&table.program[0], SIGN + PAGE_SIZE, frames[2]);
    memset(frames[3], 0xaa, PAGE_SIZE); /* the secret */
    map_process(0x1000, 1, 3);
    ck_assert_int_eq(guard_claim(guard, 1 * PAGE_SIZE), 1);
    ck_assert_int_eq(guard_claim(guard, 2 * PAGE_SIZE), 1);
    ck_assert_int_eq(guard_claim(guard, 4 * PAGE_SIZE), 0); /* all zero */
}

static void setup(void)
{
    setup_rules(NULL, REFUSAL_KILL);
}

static void finish(void)
{
    struct patterns *patterns = table.portion[0].patterns;

    guard_destroy(guard);
    portion_table_destroy(&table);
    if (patterns != NULL)
        patterns_destroy(patterns);
}

static struct guard_access access_to(enum portion_access kind, uint64_t cr3, uint64_t linear)
{
    struct guard_access access = {.access = kind,
                                  .cpl = 3,
                                  .cr3 = cr3,
                                  .rip = kind == ACCESS_FETCH ? linear : MAIN,
                                  .rsp = STACK,
                                  .linear = linear,
                                  .linear_known = true,
                                  .frame = 60 * PAGE_SIZE,
                                  .stack_known = true,
                                  .stack = MAIN};
    uint64_t frame;

    if (translate(NULL, cr3, linear & ~(PAGE_SIZE - 1), &frame) == 0)
        access.frame = frame;
    return access;
}

static void judge(const struct guard_access *access, enum decision_verdict verdict,
                  enum decision_reason reason)
{
    guard_judge(guard, &vcpu, access, &outcome);
    ck_assert_str_eq(decision_reason_name(outcome.decision.reason), decision_reason_name(reason));
    ck_assert_str_eq(decision_verdict_name(outcome.decision.verdict),
                     decision_verdict_name(verdict));
}

static void fetch(uint64_t linear, enum decision_verdict verdict, enum decision_reason reason)
{
    struct guard_access access = access_to(ACCESS_FETCH, 0x1000, linear);

    judge(&access, verdict, reason);
}

static void enter(void)
{
    fetch(SIGN, VERDICT_SWITCH, REASON_ENTRY);
    ck_assert_uint_eq(vcpu.view, 1);
}

/* The kernel's first instruction after the portion was interrupted at rip. */
static void interrupt(uint64_t rip, bool trusted, enum decision_reason reason)
{
    static const struct guard_registers registers = {.gpr = {1, 2, 3}};
    struct guard_access access = access_to(ACCESS_FETCH, 0x1000, HANDLER);

    access.cpl = 0;
    access.rsp = 0xffffffff80200000;
    access.frame_of_interrupt.known = true;
    access.frame_of_interrupt.trusted = trusted;
    access.frame_of_interrupt.cpl = 3;
    access.frame_of_interrupt.rip = rip;
    access.frame_of_interrupt.rsp = STACK - 64;
    access.keep = &registers;
    judge(&access, VERDICT_SWITCH, reason);
    ck_assert_uint_eq(vcpu.view, 0);
}

static void go_back(uint64_t rip, uint64_t rsp, enum decision_verdict verdict,
                    enum decision_reason reason)
{
    struct guard_access access = access_to(ACCESS_FETCH, 0x1000, rip);

    access.rsp = rsp;
    judge(&access, verdict, reason);
}

START_TEST(call_and_return)
{
    struct guard_access access;

    setup();
    enter();
    ck_assert_uint_eq(outcome.from, 0);
    ck_assert_uint_eq(outcome.decision.to, 1);
    access = access_to(ACCESS_FETCH, 0x1000, MAIN);
    access.rsp = STACK + 8;
    judge(&access, VERDICT_SWITCH, REASON_RETURN);
    ck_assert_uint_eq(vcpu.view, 0);
    /* A return is not a point to come back to. */
    fetch(MIDDLE, VERDICT_KILL, REASON_NOT_ENTRY);
    fetch(CHECK, VERDICT_SWITCH, REASON_ENTRY);
    finish();
}
END_TEST

static const struct {
    enum portion_access access;
    unsigned int cpl;
    uint64_t cr3, linear, frame;
    enum decision_reason reason;
} outsiders[] = {
    {ACCESS_FETCH, 3, 0x1000, MIDDLE, 1, REASON_NOT_ENTRY}, /* 18 */
    {ACCESS_FETCH, 3, 0x1000, SIGN + 1, 1, REASON_NOT_ENTRY},
    {ACCESS_FETCH, 3, 0x1000, SIGN + PAGE_SIZE, 2, REASON_NOT_ENTRY},
    {ACCESS_FETCH, 3, 0x1000, KEY, 3, REASON_DATA_FETCH},
    {ACCESS_READ, 3, 0x1000, KEY + 8, 3, REASON_READ_OUTSIDE},
    {ACCESS_WRITE, 3, 0x1000, KEY + 8, 3, REASON_WRITE_OUTSIDE},
    {ACCESS_READ, 3, 0x1000, SIGN, 1, REASON_READ_OUTSIDE},
    {ACCESS_WRITE, 3, 0x1000, SIGN, 1, REASON_WRITE_OUTSIDE},
    {ACCESS_READ, 3, 0x1000, 0x500000, 3, REASON_ALIAS}, /* 10 */
    {ACCESS_WRITE, 3, 0x2000, 0x500000, 3, REASON_ALIAS},
    {ACCESS_FETCH, 3, 0x1000, 0x500000, 1, REASON_ALIAS},
    {ACCESS_FETCH, 3, 0x2000, 0x500040, 1, REASON_ALIAS},
    {ACCESS_READ, 3, 0x2000, KEY, 3, REASON_OTHER_PROGRAM},
    {ACCESS_WRITE, 3, 0x2000, KEY, 3, REASON_OTHER_PROGRAM},
    {ACCESS_READ, 0, 0x1000, 0xffffff8000003000, 3, REASON_KERNEL_READ},
    {ACCESS_WRITE, 0, 0x2000, 0xffffff8000003000, 3, REASON_KERNEL_WRITE},
    {ACCESS_FETCH, 0, 0x1000, 0xffffff8000001000, 1, REASON_KERNEL_FETCH},
    {ACCESS_FETCH, 0, 0x1000, SIGN, 1, REASON_KERNEL_FETCH},
};

/* From outside, with the portion alive and its process preempted. */
START_TEST(outsider)
{
    struct guard_access access;

    setup();
    enter();
    interrupt(MIDDLE + 7, true, REASON_INTERRUPT);
    access = access_to(outsiders[_i].access, outsiders[_i].cr3, outsiders[_i].linear);
    access.cpl = outsiders[_i].cpl;
    access.frame = outsiders[_i].frame * PAGE_SIZE;
    judge(&access, outsiders[_i].cpl == 0 ? VERDICT_ERROR : VERDICT_KILL, outsiders[_i].reason);
    ck_assert_uint_eq(vcpu.view, 0);
    ck_assert_uint_eq(frames[3][0], 0xaa);
    /* What was refused has cost the owner nothing. */
    go_back(MIDDLE + 7, STACK - 64, VERDICT_SWITCH, REASON_RESUME_POINT);
    finish();
}
END_TEST

START_TEST(interrupted)
{
    setup();
    enter();
    interrupt(MIDDLE, true, REASON_INTERRUPT);
    go_back(MIDDLE, STACK, VERDICT_KILL, REASON_RESUME_MOVED);
    go_back(MIDDLE + 1, STACK - 64, VERDICT_KILL, REASON_NOT_ENTRY);
    go_back(MIDDLE, STACK - 64, VERDICT_SWITCH, REASON_RESUME_POINT);
    ck_assert(outcome.restore);
    ck_assert(!outcome.result);
    ck_assert_uint_eq(outcome.registers.gpr[2], 3);
    /* Once only. */
    interrupt(MIDDLE + 4, true, REASON_INTERRUPT);
    go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_NOT_ENTRY);
    go_back(MIDDLE + 4, STACK - 64, VERDICT_SWITCH, REASON_RESUME_POINT);
    finish();
}
END_TEST

/* A frame that another vCPU may have written, or that leads elsewhere, is no way back. */
START_TEST(forged_frame)
{
    setup();
    enter();
    interrupt(MIDDLE, false, REASON_INTERRUPT_FRAME);
    go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_NOT_ENTRY);
    enter();
    interrupt(MAIN, true, REASON_INTERRUPT_FRAME);
    go_back(MAIN, STACK - 64, VERDICT_RESUME, REASON_NONE);
    finish();
}
END_TEST

/* A host that delivers a system call as a fault: the kernel goes on behind it. */
START_TEST(system_call)
{
    static const struct guard_registers registers = {.gpr = {5}};
    struct guard_access access;

    setup();
    enter();
    access = access_to(ACCESS_FETCH, 0x1000, HANDLER);
    access.cpl = 0;
    access.frame_of_interrupt.known = access.frame_of_interrupt.trusted = true;
    access.frame_of_interrupt.cpl = 3;
    access.frame_of_interrupt.rip = MIDDLE;
    access.frame_of_interrupt.next_rip = MIDDLE + 2;
    access.frame_of_interrupt.rsp = STACK - 8;
    access.keep = &registers;
    access.system_call = true;
    judge(&access, VERDICT_SWITCH, REASON_INTERRUPT);
    go_back(MIDDLE + 1, STACK - 8, VERDICT_KILL, REASON_NOT_ENTRY);
    go_back(MIDDLE + 2, STACK - 8, VERDICT_SWITCH, REASON_RESUME_POINT);
    ck_assert(outcome.restore && outcome.result);
    ck_assert_uint_eq(outcome.registers.gpr[0], 5);
    /* Without registers that were kept there are none to load. */
    access.keep = NULL;
    judge(&access, VERDICT_SWITCH, REASON_INTERRUPT);
    go_back(MIDDLE, STACK - 8, VERDICT_SWITCH, REASON_RESUME_POINT);
    ck_assert(!outcome.restore && !outcome.result);
    finish();
}
END_TEST

/* The portion calls a function of the program, which comes back behind the call. */
static void call_out(uint64_t stack, uint64_t rsp, bool after_call, enum decision_reason reason)
{
    struct guard_access access = access_to(ACCESS_FETCH, 0x1000, MAIN + 64);

    access.rsp = rsp;
    access.stack = stack;
    access.after_call = after_call;
    judge(&access, VERDICT_SWITCH, reason);
    ck_assert_uint_eq(vcpu.view, 0);
}

START_TEST(calls_out)
{
    setup();
    enter();
    call_out(MIDDLE, STACK - 32, true, REASON_CALL_OUT);
    go_back(MIDDLE, STACK - 32, VERDICT_KILL, REASON_RESUME_MOVED);
    go_back(MIDDLE, STACK - 24, VERDICT_SWITCH, REASON_RESUME_POINT);
    /* A return with an address of the portion laid out above is no call. */
    call_out(MIDDLE, STACK + 8, true, REASON_LEFT);
    go_back(MIDDLE, STACK + 16, VERDICT_KILL, REASON_NOT_ENTRY);
    enter();
    call_out(MIDDLE, STACK - 32, false, REASON_LEFT); /* a jump */
    go_back(MIDDLE, STACK - 24, VERDICT_KILL, REASON_NOT_ENTRY);
    enter();
    call_out(KEY, STACK - 32, true, REASON_LEFT); /* not code */
    finish();
}
END_TEST

/* 19: at the first entry, and written after the scan. */
START_TEST(malicious)
{
    setup_rules("rule evil { strings: $a = \"MARKER\" condition: $a }", REFUSAL_KILL);
    enter();
    interrupt(MIDDLE, true, REASON_INTERRUPT);
    memcpy(&frames[2][0x80], "MARKER", 6);
    go_back(MIDDLE, STACK - 64, VERDICT_SWITCH, REASON_RESUME_POINT); /* no generation, no scan */
    interrupt(MIDDLE, true, REASON_INTERRUPT);
    generations[2]++;
    go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_PATTERN);
    ck_assert_str_eq(outcome.rule, "evil");
    fetch(SIGN, VERDICT_KILL, REASON_PATTERN);
    ck_assert_uint_eq(vcpu.view, 0);
    finish();
}
END_TEST

START_TEST(malicious_from_the_start)
{
    setup_rules("rule any_code { condition: true }", REFUSAL_STOP);
    fetch(SIGN, VERDICT_STOP, REASON_PATTERN);
    fetch(MIDDLE, VERDICT_STOP, REASON_NOT_ENTRY);
    ck_assert_uint_eq(vcpu.view, 0);
    finish();
}
END_TEST

/* 9: a page of the portion leads elsewhere: what was there is lost, and to nobody's profit. */
START_TEST(remapped)
{
    setup();
    enter();
    interrupt(MIDDLE, true, REASON_INTERRUPT);
    map(0x1000, KEY, 9);
    go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_NOT_ENTRY);
    ck_assert_uint_eq(outcome.released, 1);
    ck_assert_int_eq(outcome.released_for, REASON_REMAPPED);
    ck_assert_uint_eq(frames[3][0], 0);
    /* Anew, with the page that is there now. */
    enter();
    ck_assert_uint_eq(outcome.released, 0);
    finish();
}
END_TEST

START_TEST(remapped_code)
{
    setup();
    memcpy(frames[10], frames[1], PAGE_SIZE);
    frames[10][0x33] ^= 1;
    map(0x1000, SIGN, 10);
    map(0x1000, SIGN + PAGE_SIZE, 2);
    fetch(SIGN + PAGE_SIZE, VERDICT_KILL, REASON_CODE_DIFFERS);
    map(0x1000, SIGN, 0);
    fetch(SIGN + PAGE_SIZE, VERDICT_KILL, REASON_NOT_MAPPED);
    /* One frame for two pages of it. */
    memcpy(frames[10], frames[1], PAGE_SIZE);
    map(0x1000, SIGN, 1);
    map(0x1000, KEY, 1);
    fetch(SIGN, VERDICT_KILL, REASON_FRAME_TAKEN);
    finish();
}
END_TEST

/* Another process with the same program has its own key; with the first one's it has nothing. */
START_TEST(other_process)
{
    struct guard_access access;

    setup();
    enter();
    interrupt(MIDDLE, true, REASON_INTERRUPT);
    map_process(0x2000, 1, 3);
    access = access_to(ACCESS_FETCH, 0x2000, SIGN);
    judge(&access, VERDICT_KILL, REASON_FRAME_TAKEN);
    map(0x2000, KEY, 5);
    judge(&access, VERDICT_SWITCH, REASON_ENTRY);
    ck_assert_uint_eq(vcpu.view, 2);
    /* Not even from inside its own. */
    access = access_to(ACCESS_READ, 0x2000, 0x500000);
    access.frame = 3 * PAGE_SIZE;
    judge(&access, VERDICT_KILL, REASON_ALIAS);
    ck_assert_uint_eq(vcpu.view, 2);
    interrupt(MIDDLE, true, REASON_INTERRUPT);
    /* The resume point of one is not the other's. */
    access = access_to(ACCESS_FETCH, 0x2000, MIDDLE + 9);
    judge(&access, VERDICT_KILL, REASON_NOT_ENTRY);
    finish();
}
END_TEST

/* A program ends inside its portion; its page is another's later. */
START_TEST(reused_page)
{
    struct guard_access access;

    setup();
    enter();
    interrupt(MIDDLE, true, REASON_INTERRUPT);
    map(0x1000, SIGN, 0);
    map(0x1000, KEY, 0);
    map(0x2000, 0x700000, 3);
    access = access_to(ACCESS_READ, 0x2000, 0x700010);
    judge(&access, VERDICT_RESUME, REASON_NONE);
    ck_assert_int_eq(outcome.released_for, REASON_OWNER_GONE);
    ck_assert_uint_eq(frames[3][0x10], 0);
    finish();
}
END_TEST

START_TEST(forgotten)
{
    struct guard_vcpu stale;
    uint64_t version;

    setup();
    version = guard_version(guard);
    enter();
    stale = vcpu;
    ck_assert_uint_gt(guard_version(guard), version);
    guard_forget(guard, 0x1000);
    ck_assert_uint_eq(frames[3][0], 0);
    enter();
    /* A vCPU that was in the view of this number before is not in it. */
    vcpu = stale;
    fetch(MIDDLE, VERDICT_KILL, REASON_NOT_ENTRY);
    ck_assert_uint_eq(vcpu.view, 0);
    finish();
}
END_TEST

/* 11: while one vCPU is inside, another one is not. */
START_TEST(sibling)
{
    struct guard_vcpu first;

    setup();
    enter();
    first = vcpu;
    vcpu = (struct guard_vcpu){.view = 0};
    fetch(MIDDLE, VERDICT_KILL, REASON_NOT_ENTRY);
    enter(); /* by the door, at the same time */
    ck_assert_uint_ne(vcpu.call, first.call);
    finish();
}
END_TEST

START_TEST(many_calls)
{
    setup();
    for (unsigned int i = 0; i < GUARD_CALLS; i++) {
        enter();
        interrupt(MIDDLE + i, true, REASON_INTERRUPT);
    }
    ck_assert(!outcome.forgot);
    enter();
    ck_assert(outcome.forgot);
    interrupt(MIDDLE + GUARD_CALLS, true, REASON_INTERRUPT);
    go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_NOT_ENTRY);
    go_back(MIDDLE + 1, STACK - 64, VERDICT_SWITCH, REASON_RESUME_POINT);
    /* All inside at the same time: nothing to forget. */
    for (unsigned int i = 1; i < GUARD_CALLS; i++) {
        vcpu = (struct guard_vcpu){.view = 0};
        enter();
    }
    vcpu = (struct guard_vcpu){.view = 0};
    fetch(SIGN, VERDICT_KILL, REASON_TOO_MANY_CALLS);
    finish();
}
END_TEST

static uint64_t many_translate_frames;

/* Each address space has data of its own. */
static int many_translate(void *context, uint64_t cr3, uint64_t linear, uint64_t *frame)
{
    (void)context;
    *frame = linear == KEY ? (cr3 / 0x1000 + 100) * PAGE_SIZE : (linear - SIGN) + PAGE_SIZE;
    many_translate_frames++;
    return 0;
}

START_TEST(many_processes)
{
    static const struct guard_memory many = {many_translate, read_frame, wipe, generation, NULL};

    setup();
    guard_destroy(guard);
    ck_assert_int_eq(guard_create(&guard, &table, &many), 0);
    ck_assert_int_eq(guard_claim(guard, PAGE_SIZE), 1);
    for (unsigned int i = 0; i <= GUARD_VIEWS; i++) {
        struct guard_access access = access_to(ACCESS_FETCH, 0x1000U * (i + 1), SIGN);

        access.frame = PAGE_SIZE;
        vcpu = (struct guard_vcpu){.view = 0};
        if (i < GUARD_VIEWS)
            judge(&access, VERDICT_SWITCH, REASON_ENTRY);
        else
            judge(&access, VERDICT_KILL, REASON_TOO_MANY_PROGRAMS);
    }
    finish();
}
END_TEST

/* For watching only: what would be refused happens, and is said. */
START_TEST(log_only)
{
    struct guard_access access;
    uint64_t cr3;

    setup_rules(NULL, REFUSAL_LOG);
    fetch(MIDDLE, VERDICT_SWITCH, REASON_NOT_ENTRY);
    ck_assert(outcome.decision.refused);
    ck_assert_uint_eq(vcpu.view, 1);
    ck_assert_ptr_eq(guard_view_portion(guard, 1, &cr3), &table.portion[0]);
    ck_assert_uint_eq(cr3, 0x1000);
    ck_assert_ptr_null(guard_view_portion(guard, 2, &cr3));
    interrupt(MIDDLE, true, REASON_INTERRUPT);
    access = access_to(ACCESS_READ, 0x1000, KEY);
    judge(&access, VERDICT_SERVE, REASON_READ_OUTSIDE);
    finish();
}
END_TEST

static unsigned int listed[GUARD_VIEWS + 1];

static int list(void *context, const struct guard_frame *frame)
{
    (void)context;
    listed[frame->view]++;
    ck_assert_uint_ge(frame->linear, SIGN);
    return 0;
}

START_TEST(listed_frames)
{
    setup();
    guard_each_frame(guard, list, NULL);
    ck_assert_uint_eq(listed[0], 2);
    enter();
    guard_each_frame(guard, list, NULL);
    ck_assert_uint_eq(listed[1], 3);
    finish();
}
END_TEST

START_TEST(described)
{
    struct guard_access access;
    struct guard_event event;

    setup();
    access = access_to(ACCESS_FETCH, 0x1000, MIDDLE);
    judge(&access, VERDICT_KILL, REASON_NOT_ENTRY);
    guard_describe(guard, &access, &outcome, &event);
    ck_assert_str_eq(event.event.symbol, "sign");
    ck_assert_str_eq(event.event.reason, "not-an-entry-point");
    ck_assert_str_eq(event.event.verdict, "kill");
    ck_assert_uint_eq(event.event.from, 0);
    ck_assert_uint_eq(event.event.to, 0);
    ck_assert_str_eq(event.more[0].text, "vault");
    ck_assert_str_eq(event.more[1].text, "crypto");
    ck_assert_str_eq(event.more[3].text, "0x402033");
    finish();
}
END_TEST

RUN_CASES("portions_guard", 60, ONCE(call_and_return), EACH(outsider, ELEMENTS(outsiders)),
          ONCE(interrupted), ONCE(forged_frame), ONCE(system_call), ONCE(calls_out),
          ONCE(malicious), ONCE(malicious_from_the_start), ONCE(remapped), ONCE(remapped_code),
          ONCE(other_process), ONCE(reused_page), ONCE(forgotten), ONCE(sibling), ONCE(many_calls),
          ONCE(many_processes), ONCE(log_only), ONCE(listed_frames), ONCE(described))
