/* SPDX-License-Identifier: Apache-2.0 */
/* Guarded functions of other shapes than the API library's: a pair for a result, calls within
 * calls, recursion, large frames, pages with the same bytes; and names that tiny-OS does not know.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mezz_process.h"
#include "runner.h"

#define STACK                                                                                     \
    "local s = mezz.stack { memory = '64M' }\n"                                                   \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M', cmdline = 'exits=callback' }\n"   \
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"                \
    "    programs = { 'odd-library.elf', 'odd-agent.elf', 'odd.elf %s' } }\n"                     \
    "%s tiny:guard { library = 'odd-library.elf', agent = 'odd-agent.elf',\n"                     \
    "    functions = { odd_add = { args = { 'value', 'value' } },\n"                              \
    "        odd_pair = { args = { 'value' } }, odd_through = { args = { 'value', 'value' } },\n" \
    "        odd_deep = { args = { 'value' } }, odd_large = { args = { 'value' } },\n"            \
    "        odd_code = { args = { 'value' } }, odd_left = { args = { 'value' } },\n"             \
    "        odd_right = { args = { 'value' } } }, %s }\n"                                        \
    "s:run { timeout = '120s', may_die = true }\n"

static json_t *run(struct mezz_process *mezz, const char *program, const char *before,
                   const char *more)
{
    const char *argv[] = {"run", "t.lua", "--json", "out.json", "--log", "guard.log", NULL};
    char text[2048];

    snprintf(text, sizeof(text), STACK, program, before, more);
    mezz_begin(mezz);
    mezz_write(mezz, "t.lua", text, strlen(text));
    mezz_run(mezz, argv);
    mezz_expect(mezz, 0, "");
    return mezz_json(mezz);
}

static void must_say(const json_t *json, const char *text)
{
    ck_assert_msg(mezz_tiny_says(json, text), "no \"%s\" in:\n%s", text,
                  json_string_value(mezz_at(json, "levels.l2.tiny.console")));
}

static const char *const ways[] = {"", "defences = { 'padding' }"};

START_TEST(results)
{
    static const char *const lines[] = {"odd: pair 5 6\n",         "odd: through 8\n",
                                        "odd: inner denial -12\n", "odd: twins 2 3\n",
                                        "odd: deep 6\n",           "odd: over\n"};
    struct mezz_process mezz;
    json_t *json = run(&mezz, "plain", "", ways[_i]);
    char *log = mezz_read(&mezz, "guard.log");

    for (size_t i = 0; i < ELEMENTS(lines); i++)
        must_say(json, lines[i]);
    must_say(json, "odd: code -13\n"); /* and not 5 */
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.calls"), 7);
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.refused"), 0);
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.missing"), 0);
    /* Calls within calls: odd_add twice, odd_deep six times. */
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.nested.allowed"), 7);
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.nested.denied"), 1);
    ck_assert_ptr_nonnull(strstr(log, "\"reason\":\"nested\",\"verdict\":\"denied\","
                                      "\"library\":\"odd-library.elf\",\"function\":\"odd_add\","
                                      "\"within\":\"odd_through\""));
    ck_assert_ptr_nonnull(strstr(log, "\"arg1\":13,\"arg2\":4"));
    ck_assert_ptr_nonnull(strstr(log, "\"symbol\":\"odd.elf:main+0x"));
    free(log);
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

/* The same program without a guard. */
START_TEST(unguarded)
{
    struct mezz_process mezz;
    json_t *json = run(&mezz, "plain", "s:run { timeout = '60s' } do return end", "");

    must_say(json, "odd: pair 5 6\n");
    must_say(json, "odd: through 8\n");
    must_say(json, "odd: twins 2 3\n");
    must_say(json, "odd: code 101\n");
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

/* What cannot go well ends the program, and no call returns something else than the function. */
static const struct {
    const char *program;
    const char *refusal;
} ends[] = {
    {"kill", "levels.l2.tiny.guard.refusals.killed"},
    {"deep", "levels.l2.tiny.guard.refusals.agent-fault"},
    {"large", "levels.l2.tiny.guard.refusals.agent-fault"},
};

START_TEST(end)
{
    struct mezz_process mezz;
    json_t *json = run(&mezz, ends[_i].program, "", "");

    ck_assert(!mezz_tiny_says(json, "odd: over"));
    ck_assert_int_eq(mezz_count_at(json, ends[_i].refusal), 1);
    if (_i == 0) {
        char *log = mezz_read(&mezz, "guard.log");

        /* The record is of the call that killed. */
        ck_assert_ptr_nonnull(strstr(log, "\"function\":\"odd_add\",\"within\":\"odd_through\""));
        ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.nested.killed"), 1);
        free(log);
    }
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "guard_odd", 300, EACH(results, ELEMENTS(ways)), ONCE(unguarded),
             EACH(end, ELEMENTS(ends)))
