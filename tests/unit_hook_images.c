/* SPDX-License-Identifier: Apache-2.0 */
/* Which images a plan takes: where their segments lie, and how many pages they have; programs that
 * are their own library. */
#include "agent_layout.h"
#include "hookguard/hooks/plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/memory.h"
#include "mezz/ept.h"
#include "runner.h"
#include "test_program.h"

#define R MEZZ_EPT_READ
#define W MEZZ_EPT_WRITE
#define X MEZZ_EPT_EXECUTE

static struct program_image library, agent;
static struct hook_plan plan;
static struct error error;

static const struct hook_function_declaration functions[] = {{"api_open", NULL, 0},
                                                             {"api_sum", NULL, 0}};

static void open_both(void)
{
    test_program_open(&library, "libapi.elf");
    test_program_open(&agent, "agent.elf");
}

static const struct hook_function_declaration own_functions[] = {
    {"own_pay", NULL, 0}, {"own_pay_twice", NULL, 0}, {"own_sum", NULL, 0}};
static bool own;
static uint32_t defences = HOOK_ALL_DEFENCES;
static size_t first, count; /* of own_functions */
static uint64_t gate = MEZZ_GUARD_GATE;

static int make(void)
{
    const struct hook_declaration declaration = {
        .function = own ? own_functions + first : functions,
        .functions = own ? count : ELEMENTS(functions),
        .defences = defences,
        .gate = gate,
        .own = own,
    };

    hook_plan_destroy(&plan);
    error = (struct error){"no error"};
    return hook_plan_make(&plan, &library, &agent, &declaration, &error);
}

/* With an agent of so many pages. */
static void must_make(size_t pages)
{
    size_t found = 0;

    ck_assert_msg(make() == 0, "%s", error.text);
    for (size_t i = 0; i < plan.pages; i++)
        found += plan.page[i].kind != HOOK_PAGE_GUARDED && plan.page[i].kind != HOOK_PAGE_LIBRARY;
    ck_assert_uint_eq(found, pages);
}

static void must_not_make(const char *why)
{
    ck_assert_int_eq(make(), -EINVAL);
    ck_assert_str_eq(error.text, why);
    ck_assert_ptr_null(plan.page);
}

static struct program_segment *add(struct program_image *image, uint64_t address, uint64_t length,
                                   uint32_t rights)
{
    ck_assert_uint_lt(image->segments, PROGRAM_SEGMENTS_LIMIT);
    image->segment[image->segments] = (struct program_segment){address, length, 0, NULL, rights};
    return &image->segment[image->segments++];
}

/* The agent gets a segment more, and with it so many pages. */
static struct program_segment *fill_agent(size_t pages)
{
    size_t pages_before = 0;

    for (size_t i = 0; i < agent.segments; i++) {
        ck_assert_uint_eq(agent.segment[i].address % PAGE_SIZE, 0);
        pages_before += (agent.segment[i].length + PAGE_SIZE - 1) / PAGE_SIZE;
    }
    must_make(pages_before);
    return add(&agent, 0x20000000U, (pages - pages_before) * PAGE_SIZE, R | W);
}

/* A page counts once, and as soon as a byte of it is there. */
START_TEST(the_largest_agent)
{
    static const char too_large[] = "agent.elf: the agent is too large: at most 256 pages";
    struct program_segment *last;

    open_both();
    last = fill_agent(HOOK_AGENT_PAGES);
    must_make(HOOK_AGENT_PAGES);
    last->length++;
    must_not_make(too_large);
    last->length -= PAGE_SIZE;
    must_make(HOOK_AGENT_PAGES);
    last->address += PAGE_SIZE - 1; /* where it ends is the end of a page */
    must_make(HOOK_AGENT_PAGES);
    last->length++;
    must_not_make(too_large);
    add(&agent, 0x30000000U, UINT64_MAX - PAGE_SIZE - 0x30000000U, R);
    must_not_make(too_large);
}
END_TEST

/* Those have the rights of one only. The page that they share does not make the agent too large. */
START_TEST(segments_that_share_a_page)
{
    struct program_segment *last;
    char why[128];

    open_both();
    last = fill_agent(HOOK_AGENT_PAGES);
    last->length -= PAGE_SIZE / 2;
    must_make(HOOK_AGENT_PAGES);
    snprintf(why, sizeof(why), "agent.elf: two of its segments share the page %#llx",
             (unsigned long long)(last->address + last->length - PAGE_SIZE / 2));
    add(&agent, last->address + last->length, PAGE_SIZE / 2, R);
    must_not_make(why);
    agent.segments -= 2;
    last = add(&agent, library.segment[0].address + 2 * PAGE_SIZE - 1, 1, R);
    must_not_make("agent.elf: lies on pages of libapi.elf");
    agent.segments--;
    add(&library, 0x10000800U, 1, R);
    must_not_make("libapi.elf: two of its segments share the page 0x10000000");
}
END_TEST

/* All such pages of a guest would be taken for it. */
START_TEST(a_page_of_one_byte)
{
    static uint8_t bytes[PAGE_SIZE];
    struct program_segment *page;

    open_both();
    page = add(&agent, 0x20000000U, 1, R);
    must_not_make("agent.elf: the page 0x20000000 is 0 throughout, as other pages of a guest are, "
                  "which would be taken for it: put something into it, or drop it");
    page->rights = R | W; /* found by its address */
    ck_assert_msg(make() == 0, "%s", error.text);
    agent.segments--;
    page = add(&library, 0x30000000U, PAGE_SIZE, R);
    page->file_length = PAGE_SIZE;
    page->bytes = bytes;
    memset(bytes, 0xff, sizeof(bytes));
    must_not_make("libapi.elf: the page 0x30000000 is 0xff throughout, as other pages of a guest "
                  "are, which would be taken for it: put something into it, or drop it");
    bytes[_i == 0 ? 0 : PAGE_SIZE - 1] = 0;
    ck_assert_msg(make() == 0, "%s", error.text);
}
END_TEST

/* --- a program's own functions --- */

static void open_own(void)
{
    test_program_open(&library, "own.elf");
    test_program_open(&agent, "own-agent.elf");
    own = true;
    count = ELEMENTS(own_functions);
}

static struct program_segment *text_of_own(void)
{
    for (size_t i = 0; i < library.segments; i++)
        if (library.segment[i].rights & X)
            return &library.segment[i];
    ck_abort_msg("no code");
}

/* All of it is there without the rest of the program, which may be as large as it likes. */
START_TEST(a_program)
{
    size_t guarded = 0;

    open_own();
    add(&library, 0x40000000U, 1ULL << 46, R | W);
    ck_assert_msg(make() == 0, "%s", error.text);
    ck_assert(plan.own);
    for (size_t i = 0; i < plan.pages; i++) {
        const struct hook_page *page = &plan.page[i];

        ck_assert_int_ne(page->kind, HOOK_PAGE_LIBRARY);
        guarded += page->kind == HOOK_PAGE_GUARDED;
        if (page->kind == HOOK_PAGE_GUARDED)
            ck_assert(page->default_rights == R && page->secure_rights == (R | X));
    }
    ck_assert_uint_eq(guarded, ELEMENTS(own_functions));
    ck_assert_ptr_nonnull(hook_page_at(&plan, plan.function[0].entry));
    ck_assert_ptr_null(
        hook_page_at(&plan, plan.function[0].entry + ELEMENTS(own_functions) * PAGE_SIZE));
}
END_TEST

/* What a guarded function calls of the program is code that does not run in the view. */
START_TEST(a_program_that_calls_itself)
{
    open_own();
    first = 1;
    count = 1;
    must_not_make("own.elf: guard of own_pay_twice: it calls own_pay of the program, which is not "
                  "guarded and, with app-nx, does not run there");
    defences = HOOK_ALL_DEFENCES & ~HOOK_APP_NX;
    ck_assert_msg(make() == 0, "%s", error.text);
    defences = HOOK_ALL_DEFENCES;
    first = 0;
    count = 2;
    ck_assert_msg(make() == 0, "%s", error.text);
}
END_TEST

START_TEST(an_unfit_program)
{
    struct program_segment *text;
    char why[256];

    open_own();
    text = text_of_own();
    text->rights |= W;
    must_not_make("own.elf: guard of own_pay: its pages are not code, or are writable");
    text->rights = R;
    must_not_make("own.elf: guard of own_pay: its pages are not code, or are writable");
    text->rights = R | X;
    text->file_length = ELEMENTS(own_functions) * PAGE_SIZE - 1;
    snprintf(why, sizeof(why),
             "own.elf: guard of own_sum: the page %#llx is not whole in the file: align the end of "
             "its section",
             (unsigned long long)(text->address + (ELEMENTS(own_functions) - 1) * PAGE_SIZE));
    must_not_make(why);
    text->file_length++;
    ck_assert_msg(make() == 0, "%s", error.text);
    *add(&library, 0x40000000U, PAGE_SIZE, R) =
        (struct program_segment){0x40000000U, PAGE_SIZE, PAGE_SIZE, text->bytes, R};
    snprintf(why, sizeof(why),
             "own.elf: the page 0x40000000 has the bytes of the guarded page %#llx and would be "
             "taken for it: make them differ",
             (unsigned long long)text->address);
    must_not_make(why);
    library.segments--;
    own = false;
    must_not_make("own.elf: guard of api_open: the library has no such symbol");
    own = true;
    library.symbols = 0;
    must_not_make("own.elf: guard of own_pay: the program is stripped: it has no symbols");
}
END_TEST

/* What lies on pages of the program that are not of the plan. */
START_TEST(a_program_in_the_way)
{
    open_own();
    add(&library, agent.segment[0].address, 1, R | W);
    must_not_make("own-agent.elf: lies on pages of own.elf");
    library.segment[library.segments - 1].address = AGENT_STACK - PAGE_SIZE;
    must_not_make("own-agent.elf: there is no free page below its stack, which has to end there");
    library.segments--;
    defences = HOOK_ALL_DEFENCES & ~HOOK_API_NX;
    gate = library.segment[library.segments - 1].address & ~(PAGE_SIZE - 1);
    must_not_make("own.elf: the gate is a page of it or of its agent");
    defences = HOOK_ALL_DEFENCES;
    must_not_make("own.elf: the gate is a page of it or of its agent");
}
END_TEST

RUN_CASES("hook_images", 60, ONCE(the_largest_agent), ONCE(segments_that_share_a_page),
          EACH(a_page_of_one_byte, 2), ONCE(a_program), ONCE(a_program_that_calls_itself),
          ONCE(an_unfit_program), ONCE(a_program_in_the_way))
