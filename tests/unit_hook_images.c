/* SPDX-License-Identifier: Apache-2.0 */
/* Which images a plan takes: where their segments lie, and how many pages they have. */
#include "hookguard/hook_plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/memory.h"
#include "mezz/ept.h"
#include "runner.h"
#include "test_program.h"

#define R MEZZ_EPT_READ
#define W MEZZ_EPT_WRITE

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

static int make(void)
{
    const struct hook_declaration declaration = {functions, ELEMENTS(functions), HOOK_ALL_DEFENCES,
                                                 MEZZ_GUARD_GATE, false};

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
    size_t own = 0;

    for (size_t i = 0; i < agent.segments; i++) {
        ck_assert_uint_eq(agent.segment[i].address % PAGE_SIZE, 0);
        own += (agent.segment[i].length + PAGE_SIZE - 1) / PAGE_SIZE;
    }
    must_make(own);
    return add(&agent, 0x20000000U, (pages - own) * PAGE_SIZE, R | W);
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

RUN_CASES("hook_images", 60, ONCE(the_largest_agent), ONCE(segments_that_share_a_page))
