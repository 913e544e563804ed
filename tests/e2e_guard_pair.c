/* SPDX-License-Identifier: Apache-2.0 */
/* Guarded calls from two vCPUs of one L2 at once: tests/l1/guard_pair.c is the L1. */
#include <stdio.h>
#include <string.h>

#include "mezz_process.h"
#include "runner.h"

#define STACK                                                                                    \
    "local s = mezz.stack { memory = '64M' }\n"                                                  \
    "local l1 = s:l1 { image = 'guard_pair_l1.elf', memory = '48M', vcpus = 2,\n"                \
    "    cmdline = 'group=%s' }\n"                                                               \
    "local pair = l1:l2 { name = 'pair', image = 'tiny-os.elf', memory = '16M',%s\n"             \
    "    programs = { 'libapi.elf', 'agent.elf', 'hello.elf' } }\n"                              \
    "pair:guard { library = 'libapi.elf', agent = 'agent.elf', on_refusal = 'error', without = " \
    "%s,\n"                                                                                      \
    "    functions = { api_sum = { args = { { 'memory', length = 2 }, 'number' } } } }\n"        \
    "s:run { timeout = '120s' }\n"

static json_t *run(struct mezz_process *mezz, const char *group, const char *engine,
                   const char *without)
{
    const char *argv[] = {"run", "t.lua", "--json", "out.json", NULL};
    char text[2048];

    snprintf(text, sizeof(text), STACK, group, engine, without);
    mezz_begin(mezz);
    mezz_write(mezz, "t.lua", text, strlen(text));
    mezz_run(mezz, argv);
    return mezz_json(mezz);
}

static json_int_t count(const json_t *json, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "levels.l2.pair.guard.%s", name);
    return json_integer_value(mezz_at(json, path));
}

/* A reason that there was none of is not listed. */
static json_int_t refused(const json_t *json, const char *reason)
{
    const json_t *refusals = mezz_at(json, "levels.l2.pair.guard.refusals");

    return json_integer_value(json_object_get(refusals, reason));
}

/* What a vCPU says of itself: "first: right 0x10, refused 0x0, ..." */
static unsigned long long said(const json_t *json, const char *who, const char *what)
{
    const char *console = json_string_value(mezz_at(json, "levels.l1.console"));
    const char *at = strstr(console, who);
    unsigned long long number = 0;

    ck_assert_msg(at != NULL, "%s", console);
    at = strstr(at, what);
    ck_assert_msg(at != NULL && sscanf(at + strlen(what), " 0x%llx", &number) == 1, "%s", console);
    return number;
}

static void expect_done(const json_t *json)
{
    const char *console = json_string_value(mezz_at(json, "levels.l1.console"));

    ck_assert_msg(strstr(console, "failed 0x0\n") != NULL, "%s", console);
}

/* Whatever the root counted of calls, the guest has seen; the second vCPU is stopped anywhere, so
 * one of its calls may be over for one of them only. */
static void expect_same(const json_t *json)
{
    const unsigned long long right = said(json, "first:", "right") + said(json, "second:", "right");
    const unsigned long long busy =
        said(json, "first:", "refused") + said(json, "second:", "refused");

    ck_assert_uint_ge((unsigned long long)count(json, "allowed"), right);
    ck_assert_uint_le((unsigned long long)count(json, "allowed"), right + 1);
    ck_assert_uint_ge((unsigned long long)refused(json, "busy"), busy);
    ck_assert_uint_le((unsigned long long)refused(json, "busy"), busy + 1);
    ck_assert_int_eq(count(json, "refused"), refused(json, "busy") + refused(json, "agent-read") +
                                                 refused(json, "agent-write"));
    ck_assert_int_gt(refused(json, "agent-read"), 0);
    ck_assert_int_gt(refused(json, "agent-write"), 0);
}

/* Neither is in the other's way, and neither sees what the other one has. */
START_TEST(two_spaces)
{
    struct mezz_process mezz;
    json_t *json = run(&mezz, "spaces", "", "nil");

    expect_done(json);
    expect_same(json);
    ck_assert_int_eq(refused(json, "busy"), 0);
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

/* One call at a time: the other one is refused. */
START_TEST(one_space)
{
    struct mezz_process mezz;
    json_t *json = run(&mezz, "space", "", "nil");

    expect_done(json);
    expect_same(json);
    ck_assert_int_gt(refused(json, "busy"), 0);
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

/* What the tests would find: the same with the agent open to all. */
START_TEST(without_hiding)
{
    struct mezz_process mezz;
    json_t *json = run(&mezz, "spaces", "", "{ 'agent-hidden' }");

    ck_assert_uint_gt(said(json, "second:", "spied"), 0);
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "guard_pair", 120, ONCE(two_spaces), ONCE(one_space),
             ONCE(without_hiding))
