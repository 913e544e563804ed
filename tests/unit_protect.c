/* SPDX-License-Identifier: Apache-2.0 */
/* What policies of the root are made of that needs no guest: call sites, plans of views. */
#include <errno.h>
#include <string.h>

#include "mezz/ept.h"
#include "runner.h"
#include "unit_portions_builder.h"
#include "vmm/protect/portions/call_site.h"
#include "vmm/protect/portions/view_plan.h"

#define CR3 0x9000U

static const struct {
    uint8_t bytes[CALL_SITE_BYTES];
    bool call;
} sites[] = {
    {{0x90, 0x90, 0x90, 0xe8, 1, 2, 3, 4}, true},              /* call rel32 */
    {{0x90, 0x90, 0x90, 0xe9, 1, 2, 3, 4}, false},             /* jmp rel32 */
    {{0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xd0}, true},  /* call *%rax */
    {{0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xe0}, false}, /* jmp *%rax */
    {{0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0x10}, true},  /* call *(%rax) */
    {{0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0x50, 0x08}, true},  /* call *8(%rax) */
    {{0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0x14, 0x08}, true},  /* call *(%rax,%rcx) */
    {{0x90, 0x90, 0x90, 0x90, 0xff, 0x54, 0x24, 0x08}, true},  /* call *8(%rsp) */
    {{0x90, 0x90, 0xff, 0x15, 1, 2, 3, 4}, true},              /* call *x(%rip) */
    {{0x90, 0x90, 0xff, 0x90, 1, 2, 3, 4}, true},              /* call *x(%rax) */
    {{0x90, 0xff, 0x94, 0x24, 1, 2, 3, 4}, true},              /* call *x(%rsp) */
    {{0x90, 0xff, 0x14, 0x25, 1, 2, 3, 4}, true},              /* call *x */
    {{0x90, 0x90, 0xff, 0x10, 1, 2, 3, 4}, false},             /* 4 bytes behind call *(%rax) */
    {{0xe8, 1, 2, 3, 4, 0x90, 0x90, 0x90}, false},
    {{0}, false},
};

START_TEST(call_site)
{
    ck_assert(call_site_ends_here(sites[_i].bytes) == sites[_i].call);
}
END_TEST

/* An address space in which the program lies where its linear addresses are. */
static const struct portion_table *program;

static int translate(void *context, uint64_t cr3, uint64_t linear, uint64_t *frame)
{
    (void)context;
    *frame = linear;
    return cr3 == CR3 ? 0 : -EFAULT;
}

static int read_frame(void *context, uint64_t frame, void *to)
{
    (void)context;
    program_page(&program->program[0], frame, to);
    return 0;
}

static int wipe(void *context, uint64_t frame)
{
    (void)context;
    (void)frame;
    return 0;
}

static uint64_t generation(void *context, uint64_t frame)
{
    (void)context;
    (void)frame;
    return 1;
}

static bool occupied(void *context, uint32_t view)
{
    (void)context;
    (void)view;
    return false;
}

struct fixture {
    struct portion_table table;
    struct portion_guard_memory memory;
    struct portion_guard *guard;
    struct portion_guard_vcpu vcpu;
};

/* The portion of unit_portions_builder.h, entered. */
static void enter_with(struct fixture *fixture, bool strict, uint64_t tolerated)
{
    static const char *const sections[] = {".vault", ".secret"};
    static const char *const entries[] = {"sign"};
    const struct portion_declaration declaration = {.program = "p",
                                                    .name = "vault",
                                                    .parts.section = sections,
                                                    .parts.sections = 2,
                                                    .entry = entries,
                                                    .entries = 1,
                                                    .strict = strict,
                                                    .tolerated = tolerated,
                                                    .on_refusal = REFUSAL_KILL};
    const struct portion_guard_access access = {.access = ACCESS_FETCH,
                                                .cpl = 3,
                                                .cr3 = CR3,
                                                .rip = BUILT_CODE,
                                                .rsp = 0x8000,
                                                .linear = BUILT_CODE,
                                                .linear_known = true,
                                                .frame = BUILT_CODE,
                                                .stack_known = true,
                                                .stack = 0x401000};
    struct portion_guard_outcome outcome;
    struct error error;
    size_t size;
    const uint8_t *bytes = built_program(0, &size);

    *fixture =
        (struct fixture){.memory = {translate, read_frame, wipe, generation, occupied, NULL}};
    portion_table_init(&fixture->table);
    ck_assert_int_eq(portion_table_add_program(&fixture->table, "p", bytes, size, &error), 0);
    ck_assert_msg(portion_table_add(&fixture->table, &declaration, &error) == 0, "%s", error.text);
    program = &fixture->table;
    ck_assert_int_eq(portion_guard_create(&fixture->guard, &fixture->table, &fixture->memory), 0);
    ck_assert_int_eq(portion_guard_claim(fixture->guard, BUILT_CODE), 1);
    portion_guard_judge(fixture->guard, &fixture->vcpu, &access, &outcome);
    ck_assert_int_eq(outcome.decision.verdict, VERDICT_SWITCH);
    ck_assert_uint_eq(fixture->vcpu.view, 1);
}

static void enter(struct fixture *fixture, bool strict)
{
    enter_with(fixture, strict, 0);
}

static void leave(struct fixture *fixture)
{
    portion_guard_destroy(fixture->guard);
    portion_table_destroy(&fixture->table);
}

static uint32_t rights_of(const struct view_plan *plan, uint64_t frame)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->page[i].frame == frame)
            return plan->page[i].rights;
    return UINT32_MAX;
}

#define RX (MEZZ_EPT_READ | MEZZ_EPT_EXECUTE)
#define RW (MEZZ_EPT_READ | MEZZ_EPT_WRITE)

START_TEST(default_view)
{
    struct view_plan plan = {0};
    struct fixture fixture;

    enter(&fixture, false);
    ck_assert_int_eq(view_plan_default(&plan, fixture.guard), 0);
    ck_assert_uint_eq(plan.count, 3); /* each once, although one is claimed as well */
    for (size_t i = 0; i < plan.count; i++)
        ck_assert_uint_eq(plan.page[i].rights, 0);
    ck_assert_uint_eq(view_plan_rights(&plan, BUILT_CODE), 0);
    ck_assert_uint_eq(view_plan_rights(&plan, 0x900000), MEZZ_EPT_RWX);
    view_plan_destroy(&plan);
    leave(&fixture);
}
END_TEST

/* The processor's own access has no program, and is no call's end: the L2 stops. */
START_TEST(table_inside)
{
    const struct portion_guard_access access = {
        .access = ACCESS_READ, .cr3 = CR3, .frame = 0x406000};
    struct portion_guard_outcome outcome;
    struct fixture fixture;

    enter(&fixture, false);
    portion_guard_refuse_table(fixture.guard, &fixture.vcpu, &access, &outcome);
    ck_assert_int_eq(outcome.decision.verdict, VERDICT_STOP);
    ck_assert_int_eq(outcome.decision.reason, REASON_TABLE_INSIDE);
    ck_assert_str_eq(outcome.portion->name, "vault");
    ck_assert_uint_eq(fixture.vcpu.view, 1);
    leave(&fixture);
}
END_TEST

/* strict: no data is executable, whoever says that nobody can execute it. */
START_TEST(portion_view)
{
    struct space_page pages[] = {
        {0x401000, SPACE_CODE},  {0x402000, SPACE_CODE},    {0x403000, SPACE_CODE},
        {0x405000, SPACE_DATA},  {0x406000, SPACE_DATA},    {0x408000, SPACE_DATA | SPACE_CODE},
        {0x900000, SPACE_TABLE}, {0xa00000, SPACE_HANDLER}, {0xb00000, SPACE_EVENT},
    };
    const struct address_space space = {pages, ELEMENTS(pages), ELEMENTS(pages), 1};
    struct view_plan plan = {0};
    struct fixture fixture;
    bool strict = _i != 0;

    enter(&fixture, strict);
    ck_assert_int_eq(view_plan_portion(&plan, fixture.guard, 1, &space), 0);
    ck_assert_uint_eq(rights_of(&plan, 0x401000), UINT32_MAX); /* the rule */
    ck_assert_uint_eq(rights_of(&plan, 0x402000), RX);
    ck_assert_uint_eq(rights_of(&plan, 0x403000), RX);
    ck_assert_uint_eq(rights_of(&plan, 0x405000), strict ? UINT32_MAX : MEZZ_EPT_RWX);
    ck_assert_uint_eq(rights_of(&plan, 0x406000), strict ? RW : MEZZ_EPT_RWX);
    ck_assert_uint_eq(rights_of(&plan, 0x408000), UINT32_MAX);
    ck_assert_uint_eq(rights_of(&plan, 0x900000), MEZZ_EPT_RWX);
    ck_assert_uint_eq(rights_of(&plan, 0xa00000), UINT32_MAX);
    ck_assert_uint_eq(rights_of(&plan, 0xb00000), MEZZ_EPT_RWX);
    view_plan_destroy(&plan);
    leave(&fixture);
}
END_TEST

/* What a kernel would have delivered by way of the portion, or run inside. */
static const struct {
    struct space_page page;
    bool tolerable; /* no rights on the portion's own pages come of it */
} unsafe[] = {
    {{0x402000, SPACE_CODE | SPACE_TABLE}, false},
    {{0x406000, SPACE_DATA | SPACE_TABLE}, false},
    {{0x402000, SPACE_CODE | SPACE_HANDLER}, true},
    {{0x900000, SPACE_TABLE | SPACE_HANDLER}, true},
    {{0x900000, SPACE_TABLE | SPACE_CODE}, true},
    {{0x402000, SPACE_CODE | SPACE_EVENT}, false},
    {{0x406000, SPACE_DATA | SPACE_EVENT}, false},
    {{0x900000, SPACE_EVENT | SPACE_HANDLER}, true},
    {{0x900000, SPACE_EVENT | SPACE_CODE}, true},
    {{0x900000, SPACE_TABLE | SPACE_DATA}, true},
    {{0x900000, SPACE_EVENT | SPACE_DATA}, true},
    {{0x900000, SPACE_EVENT | SPACE_MIXED}, true},
    {{0x900000, SPACE_EVENT | SPACE_TABLE}, true},
    {{0x402000, SPACE_CODE | SPACE_TWICE}, false},
    {{0x406000, SPACE_DATA | SPACE_TWICE}, false},
    {{0x402000, SPACE_CODE | SPACE_TWICE | SPACE_HANDLER}, false},
};

START_TEST(unsafe_space)
{
    struct space_page page = unsafe[_i].page;
    const struct address_space space = {&page, 1, 1, 1};
    struct view_plan plan = {0};
    struct fixture fixture;

    enter(&fixture, false);
    ck_assert_int_eq(view_plan_portion(&plan, fixture.guard, 1, &space), -EPERM);
    leave(&fixture);
    enter_with(&fixture, false, 1ULL << REASON_UNSAFE_SPACE);
    ck_assert_int_eq(view_plan_portion(&plan, fixture.guard, 1, &space),
                     unsafe[_i].tolerable ? 0 : -EPERM);
    if (unsafe[_i].tolerable && page.frame == 0x402000)
        ck_assert_uint_eq(rights_of(&plan, 0x402000), RX);
    view_plan_destroy(&plan);
    leave(&fixture);
}
END_TEST

/* A page that ring 3 has as data, and in which a handler lies, is not left executable. */
START_TEST(handler_in_data)
{
    struct space_page page = {0x900000, SPACE_DATA | SPACE_HANDLER};
    const struct address_space space = {&page, 1, 1, 1};
    struct view_plan plan = {0};
    struct fixture fixture;

    enter(&fixture, false);
    ck_assert_int_eq(view_plan_portion(&plan, fixture.guard, 1, &space), 0);
    ck_assert_uint_eq(rights_of(&plan, 0x900000), UINT32_MAX);
    view_plan_destroy(&plan);
    leave(&fixture);
}
END_TEST

START_TEST(no_such_view)
{
    const struct address_space space = {0};
    struct view_plan plan = {0};
    struct fixture fixture;

    enter(&fixture, false);
    ck_assert_int_eq(view_plan_portion(&plan, fixture.guard, 2, &space), -EPERM);
    view_plan_destroy(&plan);
    leave(&fixture);
}
END_TEST

RUN_CASES("protect", 30, EACH(call_site, ELEMENTS(sites)), ONCE(default_view), ONCE(table_inside),
          EACH(portion_view, 2), EACH(unsafe_space, ELEMENTS(unsafe)), ONCE(handler_in_data),
          ONCE(no_such_view))
