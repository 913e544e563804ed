/* SPDX-License-Identifier: Apache-2.0 */
#include "portions_world.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "unit_portions_builder.h"

uint8_t world_frame[FRAMES][PAGE_SIZE];
uint64_t world_generation[FRAMES];
uint32_t world_occupied;
struct portion_table table;
struct portion_guard *guard;
struct portion_guard_vcpu vcpu;
struct portion_guard_outcome outcome;

static struct {
    uint64_t cr3, linear, frame;
} maps[64];
static size_t map_count;

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
    memcpy(to, world_frame[frame / PAGE_SIZE], PAGE_SIZE);
    return 0;
}

static int wipe(void *context, uint64_t frame)
{
    (void)context;
    memset(world_frame[frame / PAGE_SIZE], 0, PAGE_SIZE);
    world_generation[frame / PAGE_SIZE]++;
    return 0;
}

static uint64_t generation(void *context, uint64_t frame)
{
    (void)context;
    return world_generation[frame / PAGE_SIZE];
}

static bool occupied(void *context, uint32_t view)
{
    (void)context;
    return view == world_occupied;
}

const struct portion_guard_memory world_memory = {translate,  read_frame, wipe,
                                                  generation, occupied,   NULL};

void world_map(uint64_t cr3, uint64_t linear, uint64_t frame)
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

void world_map_process(uint64_t cr3, uint64_t code, uint64_t data)
{
    world_map(cr3, SIGN, code);
    world_map(cr3, SIGN + PAGE_SIZE, code + 1);
    world_map(cr3, KEY, data);
}

void world_tolerate(enum decision_reason reason)
{
    table.portion[0].tolerated |= 1ULL << reason;
}

void world_setup_rules(const char *rules, enum portion_refusal on_refusal)
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
    ck_assert_int_eq(portion_guard_create(&guard, &table, &world_memory), 0);
    program_page(&table.program[0], SIGN, world_frame[1]);
    program_page(&table.program[0], SIGN + PAGE_SIZE, world_frame[2]);
    memset(world_frame[3], 0, PAGE_SIZE);
    world_map_process(0x1000, 1, 3);
    ck_assert_int_eq(portion_guard_claim(guard, 1 * PAGE_SIZE), 1);
    ck_assert_int_eq(portion_guard_claim(guard, 2 * PAGE_SIZE), 1);
    ck_assert_int_eq(portion_guard_claim(guard, 4 * PAGE_SIZE), 0); /* all zero */
}

void world_setup(void)
{
    world_setup_rules(NULL, REFUSAL_KILL);
}

void world_finish(void)
{
    struct patterns *patterns = table.portion[0].patterns;

    portion_guard_destroy(guard);
    portion_table_destroy(&table);
    if (patterns != NULL)
        patterns_destroy(patterns);
}

struct portion_guard_access world_access(enum portion_access kind, uint64_t cr3, uint64_t linear)
{
    struct portion_guard_access access = {.access = kind,
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

void world_judge(const struct portion_guard_access *access, enum decision_verdict verdict,
                 enum decision_reason reason)
{
    const uint64_t version = portion_guard_version(guard);
    /* The guard says before it judges whether pages come or go, and alters nothing by that. */
    const bool moves = portion_guard_moves_pages(guard, &vcpu, access);

    ck_assert_uint_eq(portion_guard_version(guard), version);
    portion_guard_judge(guard, &vcpu, access, &outcome);
    ck_assert(moves || portion_guard_version(guard) == version);
    ck_assert_str_eq(decision_reason_name(outcome.decision.reason), decision_reason_name(reason));
    ck_assert_str_eq(decision_verdict_name(outcome.decision.verdict),
                     decision_verdict_name(verdict));
}

void world_fetch(uint64_t linear, enum decision_verdict verdict, enum decision_reason reason)
{
    struct portion_guard_access access = world_access(ACCESS_FETCH, 0x1000, linear);

    world_judge(&access, verdict, reason);
}

void world_enter(void)
{
    world_fetch(SIGN, VERDICT_SWITCH, REASON_ENTRY);
    ck_assert_uint_eq(vcpu.view, 1);
    memset(world_frame[3], 0xaa, PAGE_SIZE);
}

void world_interrupt(uint64_t rip, bool trusted, enum decision_reason reason)
{
    static const struct portion_guard_registers registers = {.gpr = {1, 2, 3}};
    struct portion_guard_access access = world_access(ACCESS_FETCH, 0x1000, HANDLER);

    access.cpl = 0;
    access.rsp = 0xffffffff80200000;
    access.frame_of_interrupt.known = true;
    access.frame_of_interrupt.trusted = trusted;
    access.frame_of_interrupt.cpl = 3;
    access.frame_of_interrupt.rip = rip;
    access.frame_of_interrupt.rsp = STACK - 64;
    access.keep = &registers;
    world_judge(&access, VERDICT_SWITCH, reason);
    ck_assert_uint_eq(vcpu.view, 0);
}

void world_go_back(uint64_t rip, uint64_t rsp, enum decision_verdict verdict,
                   enum decision_reason reason)
{
    struct portion_guard_access access = world_access(ACCESS_FETCH, 0x1000, rip);

    access.rsp = rsp;
    world_judge(&access, verdict, reason);
}
