/* SPDX-License-Identifier: Apache-2.0 */
/* Plans for the API library and its agent, and for what is wrong with them. */
#include "hookguard/hooks/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent_layout.h"
#include "hookguard/hooks/code.h"
#include "host/memory.h"
#include "mezz/ept.h"
#include "runner.h"
#include "test_program.h"
#include "unit_portions_builder.h"

#define R    MEZZ_EPT_READ
#define W    MEZZ_EPT_WRITE
#define X    MEZZ_EPT_EXECUTE
#define GATE MEZZ_GUARD_GATE

static struct program_image library, agent;
static struct hook_plan plan;
static struct error error;

static const struct hook_argument open_arguments[] = {{MEZZ_GUARD_CSTRING, 0, 32},
                                                      {MEZZ_GUARD_VALUE, 0, 0}};
static const struct hook_argument write_arguments[] = {
    {MEZZ_GUARD_VALUE, 0, 0}, {MEZZ_GUARD_BUFFER, 2, 0}, {MEZZ_GUARD_VALUE, 0, 0}};

static const struct hook_function_declaration functions[] = {
    {"api_open", open_arguments, 2},
    {"api_write", write_arguments, 3},
    {"api_sum", NULL, 0},
};

static bool asks;

static int make(const struct hook_function_declaration *list, size_t count, uint32_t defences)
{
    const struct hook_declaration declaration = {list, count, defences, GATE, asks, false};

    error = (struct error){"no error"};
    return hook_plan_make(&plan, &library, &agent, &declaration, &error);
}

static void must(uint32_t defences)
{
    test_program_open(&library, "libapi.elf");
    test_program_open(&agent, "agent.elf");
    ck_assert_msg(make(functions, ELEMENTS(functions), defences) == 0, "%s", error.text);
}

static const struct hook_page *page_of(const struct hook_function *function)
{
    const struct hook_page *page = hook_page_at(&plan, function->entry);

    ck_assert_ptr_nonnull(page);
    ck_assert_int_eq(page->kind, HOOK_PAGE_GUARDED);
    return page;
}

/* What the root has in the place of the file's bytes there, which may run into the next page. */
static void read_planned(const char *name, void *to, size_t length)
{
    const struct program_symbol *symbol;
    uint8_t *bytes = to;

    ck_assert(program_find_symbol(&agent, name, &symbol) == 1);
    for (size_t i = 0; i < length; i++) {
        const uint64_t at = symbol->address + i;

        bytes[i] = hook_page_at(&plan, at)->secure[at % PAGE_SIZE];
    }
}

static uint64_t jump_target(const uint8_t *bytes, uint64_t address)
{
    int32_t distance;

    ck_assert_uint_eq(bytes[0], 0xe9);
    memcpy(&distance, bytes + 1, 4);
    return address + 5 + (uint64_t)(int64_t)distance;
}

static const uint32_t ways[] = {HOOK_ALL_DEFENCES, HOOK_ALL_DEFENCES & ~HOOK_API_NX,
                                HOOK_ALL_DEFENCES & ~(HOOK_API_NX | HOOK_PADDING)};

/* The security view is the same whatever the default view has. */
START_TEST(security_pages)
{
    struct mezz_guard_plan table;
    const struct hook_page *area;

    must(ways[_i]);
    for (size_t i = 0; i < plan.functions; i++) {
        const struct hook_function *function = &plan.function[i];
        const struct hook_page *page = page_of(function);
        const uint8_t *at = page->secure + function->entry % PAGE_SIZE;
        const struct hook_page *thunk = hook_page_at(&plan, function->thunk);

        ck_assert_uint_eq(page->secure_rights, R | X);
        ck_assert_uint_eq(at[0], 0xeb);
        ck_assert_uint_eq(at[1] + 2U, HOOK_GATE_BYTES);
        ck_assert_uint_eq(jump_target(at + HOOK_GATE_BYTES, function->entry + HOOK_GATE_BYTES),
                          function->thunk);
        /* Behind the hook the page is the file's. */
        ck_assert_int_eq(memcmp(at + HOOK_BYTES, page->file + HOOK_BYTES, 64), 0);
        ck_assert_int_eq(thunk->kind, HOOK_PAGE_PLAN);
        at = thunk->secure + function->thunk % PAGE_SIZE;
        ck_assert_uint_eq(at[2], i); /* mov $i, %r11d */
        ck_assert_uint_eq(jump_target(at + 6, function->thunk + 6), AGENT_CODE);
    }
    ck_assert_uint_eq(plan.function[0].body, plan.function[0].entry + 16);
    /* api_sum has no preamble: its beginning was moved. */
    area = hook_page_at(&plan, plan.function[2].body);
    ck_assert_int_eq(area->kind, HOOK_PAGE_PLAN);
    read_planned("guard_plan", &table, sizeof(table));
    ck_assert_uint_eq(table.magic, MEZZ_GUARD_MAGIC);
    ck_assert_uint_eq(table.functions, 3);
    ck_assert_uint_eq(table.flags, MEZZ_GUARD_COPIES | MEZZ_GUARD_OWN_STACK);
    ck_assert_uint_eq(table.function[0].body, plan.function[0].body);
    ck_assert_uint_eq(table.function[0].arguments, 2);
    ck_assert_uint_eq(table.function[0].argument[0].kind, MEZZ_GUARD_CSTRING);
    ck_assert_uint_eq(table.function[0].argument[0].limit, 32);
    ck_assert_uint_eq(table.function[1].argument[1].length_in, 2);
    ck_assert_uint_eq(table.function[1].argument[1].limit, MEZZ_GUARD_COPY_LIMIT);
}
END_TEST

START_TEST(default_pages_not_executable)
{
    must(ways[0]);
    for (size_t i = 0; i < plan.functions; i++) {
        ck_assert_uint_eq(page_of(&plan.function[i])->default_rights, R);
        ck_assert_ptr_null(page_of(&plan.function[i])->shown); /* a reader sees no difference */
    }
}
END_TEST

START_TEST(default_pages_padded)
{
    const uint32_t entry = 0;
    uint8_t gate[HOOK_GATE_BYTES];

    must(ways[1]);
    hook_code_gate(gate, GATE, HOOK_INDEX);
    for (size_t i = 0; i < plan.functions; i++) {
        const struct hook_page *page = page_of(&plan.function[i]);

        ck_assert_uint_eq(page->default_rights, R | X);
        ck_assert_int_eq(memcmp(page->shown, gate, sizeof(gate)), 0);
        ck_assert_int_eq(hook_code_prove(page->shown, page->linear, GATE, &entry, 1, &error), 0);
        /* No byte of the function is left. */
        ck_assert_ptr_null(memmem(page->shown, PAGE_SIZE, page->file + 16, 8));
    }
}
END_TEST

START_TEST(default_pages_with_a_bare_hook)
{
    uint8_t gate[HOOK_GATE_BYTES];

    must(ways[2]);
    hook_code_gate(gate, GATE, HOOK_INDEX);
    for (size_t i = 0; i < plan.functions; i++) {
        const struct hook_page *page = page_of(&plan.function[i]);

        ck_assert_uint_eq(page->default_rights, R | X);
        ck_assert_int_eq(memcmp(page->shown, gate, sizeof(gate)), 0);
        ck_assert_int_eq(
            memcmp(page->shown + sizeof(gate), page->file + sizeof(gate), PAGE_SIZE - sizeof(gate)),
            0);
    }
}
END_TEST

/* What is nowhere but in the security view. */
START_TEST(agent_pages)
{
    static const struct {
        uint64_t linear;
        enum hook_page_kind kind;
        uint32_t shown, secure;
    } expected[] = {
        /* The plan begins in the page of the code. */
        {AGENT_CODE, HOOK_PAGE_PLAN, 0, R | X},
        {AGENT_CODE + 2 * PAGE_SIZE, HOOK_PAGE_PLAN, 0, R | X},
        {AGENT_DOOR, HOOK_PAGE_DOOR, 0, 0},
        {AGENT_DATA, HOOK_PAGE_DATA, 0, R | W | X},
        {AGENT_EXCHANGE, HOOK_PAGE_EXCHANGE, R | X, R | W | X},
    };

    must(HOOK_ALL_DEFENCES);
    for (size_t i = 0; i < ELEMENTS(expected); i++) {
        const struct hook_page *page = hook_page_at(&plan, expected[i].linear);

        ck_assert_ptr_nonnull(page);
        ck_assert_int_eq(page->kind, expected[i].kind);
        ck_assert_uint_eq(page->default_rights, expected[i].shown);
        ck_assert_uint_eq(page->secure_rights, expected[i].secure);
    }
    hook_plan_destroy(&plan);
    program_image_close(&library);
    program_image_close(&agent);
    must(HOOK_ALL_DEFENCES & ~HOOK_HIDDEN);
    ck_assert_uint_eq(hook_page_at(&plan, AGENT_DATA)->default_rights, R | W | X);
    ck_assert_uint_eq(hook_page_at(&plan, AGENT_DOOR)->default_rights, 0);
}
END_TEST

/* --- mistakes --- */

static const struct hook_argument backwards[] = {{MEZZ_GUARD_BUFFER, 0, 0}};
static const struct hook_argument beyond[] = {{MEZZ_GUARD_BUFFER, 1, 0}};
static const struct hook_argument by_text[] = {{MEZZ_GUARD_BUFFER, 1, 0},
                                               {MEZZ_GUARD_CSTRING, 0, 0}};
static const struct hook_argument large[] = {{MEZZ_GUARD_CSTRING, 0, 4097}};
static const struct hook_argument strange[] = {{MEZZ_GUARD_KINDS, 0, 0}};
static const struct hook_argument many[7];

static const struct {
    struct hook_function_declaration function[2];
    size_t count;
    const char *library, *agent;
    const char *why;
} mistakes[] = {
    {{{NULL, NULL, 0}}, 0, "libapi.elf", "agent.elf", "a guard has 1 to 32 functions"},
    {{{"api_opne", NULL, 0}},
     1,
     "libapi.elf",
     "agent.elf",
     "guard of api_opne: the library has no"},
    {{{"api_open", NULL, 0}, {"api_open", NULL, 0}},
     2,
     "libapi.elf",
     "agent.elf",
     "guard of api_open: it overlaps api_open, which is guarded, too"},
    {{{"api_open", backwards, 1}}, 1, "libapi.elf", "agent.elf", "a buffer's length"},
    {{{"api_open", beyond, 1}}, 1, "libapi.elf", "agent.elf", "a buffer's length"},
    {{{"api_open", by_text, 2}}, 1, "libapi.elf", "agent.elf", "a buffer's length"},
    {{{"api_open", large, 1}}, 1, "libapi.elf", "agent.elf", "at most 4096 bytes"},
    {{{"api_open", strange, 1}}, 1, "libapi.elf", "agent.elf", "no known kind"},
    {{{"api_open", many, 7}}, 1, "libapi.elf", "agent.elf", "at most 6 arguments"},
    {{{"api_open", NULL, 0}},
     1,
     "libapi.elf",
     "hello.elf",
     "the agent has no callback \"check_api_open\""},
    {{{"main", NULL, 0}}, 1, "hello.elf", "agent.elf", "no callback \"check_main\""},
};

START_TEST(mistake)
{
    test_program_open(&library, mistakes[_i].library);
    test_program_open(&agent, mistakes[_i].agent);
    ck_assert_int_eq(make(mistakes[_i].function, mistakes[_i].count, HOOK_ALL_DEFENCES), -EINVAL);
    ck_assert_msg(strstr(error.text, mistakes[_i].why) != NULL, "%s", error.text);
    ck_assert_ptr_null(plan.page);
}
END_TEST

START_TEST(a_stripped_library)
{
    size_t size;
    const uint8_t *bytes = built_program(1, &size);

    test_program_open(&agent, "agent.elf");
    ck_assert_int_eq(program_image_open(&library, "stripped", bytes, size, &error), 0);
    ck_assert_int_eq(make(functions, 1, HOOK_ALL_DEFENCES), -EINVAL);
    ck_assert_msg(strstr(error.text, "is stripped") != NULL, "%s", error.text);
}
END_TEST

static struct program_symbol *symbol_of(const char *name)
{
    size_t i = 0;

    while (i < agent.symbols && strcmp(agent.symbol[i].name, name) != 0)
        i++;
    ck_assert_msg(i < agent.symbols, "%s", name);
    return &agent.symbol[i];
}

static void must_not_take_the_agent(const char *why)
{
    ck_assert_int_eq(make(functions, ELEMENTS(functions), HOOK_ALL_DEFENCES), -EINVAL);
    ck_assert_msg(strcmp(error.text, why) == 0, "%s", error.text);
    ck_assert_ptr_null(plan.page);
}

START_TEST(an_unfit_agent)
{
    test_program_open(&library, "libapi.elf");
    test_program_open(&agent, "agent.elf");
    symbol_of("check_api_read")->name = "check_api_open";
    must_not_take_the_agent("agent.elf: the agent has more than one callback \"check_api_open\"");
    symbol_of("check_api_write")->code = false;
    symbol_of("check_api_open")->name = "another";
    must_not_take_the_agent("agent.elf: the agent's callback is no function: \"check_api_write\"");
    symbol_of("check_api_write")->code = true;
    ck_assert_msg(make(functions, ELEMENTS(functions), HOOK_ALL_DEFENCES) == 0, "%s", error.text);
}
END_TEST

/* odd_api.S has a function for each thing that cannot be guarded. */
static const struct {
    const char *name;
    uint32_t defences;
    const char *why;
} odd[] = {
    {"api_open", HOOK_ALL_DEFENCES, "helper is not guarded and shares a page"},
    {"api_read", HOOK_ALL_DEFENCES, "too short"},
    {"api_write", HOOK_ALL_DEFENCES, "leads into the bytes that the hook displaces"},
    {"api_close", HOOK_ALL_DEFENCES, "data in the code"},
    {"api_send", HOOK_ALL_DEFENCES, "an indirect jump"},
    {"api_receive", HOOK_ALL_DEFENCES & ~HOOK_API_NX, "the data table lies on the page"},
    {"api_receive", HOOK_ALL_DEFENCES, NULL},
    {"api_sum", HOOK_ALL_DEFENCES, "cannot be moved"},
    {"api_append", HOOK_ALL_DEFENCES & ~HOOK_API_NX, "too near to the end of its page"},
};

START_TEST(an_odd_function)
{
    const struct hook_function_declaration function = {odd[_i].name, NULL, 0};

    test_program_open(&agent, "agent.elf");
    test_program_open(&library, "odd_api.elf");
    if (odd[_i].why == NULL) {
        ck_assert_msg(make(&function, 1, odd[_i].defences) == 0, "%s", error.text);
        return;
    }
    ck_assert_int_eq(make(&function, 1, odd[_i].defences), -EINVAL);
    ck_assert_msg(strstr(error.text, odd[_i].why) != NULL, "%s", error.text);
}
END_TEST

/* Pages with the same bytes can be guarded if they are guarded in the same way. */
static const struct {
    const char *name[2];
    size_t count;
    uint32_t defences;
    bool refused;
} twins[] = {
    {{"api_open", NULL}, 1, HOOK_ALL_DEFENCES, true},                       /* helper is not */
    {{"api_read", "api_write"}, 2, HOOK_ALL_DEFENCES & ~HOOK_API_NX, true}, /* other gates */
    {{"api_read", "api_write"}, 2, HOOK_ALL_DEFENCES, false},
    {{"api_read", NULL}, 1, HOOK_ALL_DEFENCES, true},
};

START_TEST(pages_with_the_same_bytes)
{
    const struct hook_function_declaration list[] = {{twins[_i].name[0], NULL, 0},
                                                     {twins[_i].name[1], NULL, 0}};
    int code;

    test_program_open(&agent, "agent.elf");
    test_program_open(&library, "twin_api.elf");
    code = make(list, twins[_i].count, twins[_i].defences);
    ck_assert_msg(code == (twins[_i].refused ? -EINVAL : 0), "%s", error.text);
    if (twins[_i].refused)
        ck_assert_msg(strstr(error.text, "have the same bytes") != NULL, "%s", error.text);
}
END_TEST

START_TEST(a_guard_without_a_gate)
{
    struct hook_declaration declaration = {functions, 1, HOOK_PADDING, 0, false, false};

    test_program_open(&library, "libapi.elf");
    test_program_open(&agent, "agent.elf");
    ck_assert_int_eq(hook_plan_make(&plan, &library, &agent, &declaration, &error), -EINVAL);
    ck_assert_msg(strstr(error.text, "needs a gate") != NULL, "%s", error.text);
    declaration.gate = 1ULL << 31;
    ck_assert_int_eq(hook_plan_make(&plan, &library, &agent, &declaration, &error), -EINVAL);
    declaration.defences = HOOK_API_NX;
    ck_assert_int_eq(hook_plan_make(&plan, &library, &agent, &declaration, &error), 0);
}
END_TEST

START_TEST(names_of_defences)
{
    uint32_t all = 0;

    for (unsigned int i = 0; hook_defence_name(i) != NULL; i++) {
        ck_assert_uint_eq(hook_defence_by_name(hook_defence_name(i)), 1U << i);
        all |= 1U << i;
    }
    ck_assert_uint_eq(all, HOOK_ALL_DEFENCES);
    ck_assert_uint_eq(hook_defence_by_name("api-xn"), 0);
    ck_assert_uint_eq(hook_defence_by_name("api-nx"), HOOK_API_NX);
    ck_assert_uint_eq(hook_defence_by_name("kernel-nx"), HOOK_KERNEL_NX);
}
END_TEST

RUN_CASES("hook_plan", 60, EACH(security_pages, ELEMENTS(ways)), ONCE(default_pages_not_executable),
          ONCE(default_pages_padded), ONCE(default_pages_with_a_bare_hook), ONCE(agent_pages),
          EACH(mistake, ELEMENTS(mistakes)), ONCE(a_stripped_library), ONCE(an_unfit_agent),
          EACH(an_odd_function, ELEMENTS(odd)), EACH(pages_with_the_same_bytes, ELEMENTS(twins)),
          ONCE(a_guard_without_a_gate), ONCE(names_of_defences))
