/* SPDX-License-Identifier: Apache-2.0 */
/* Callers that name the agent's memory for their own, and what comes of it. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mezz_process.h"
#include "runner.h"

#define STACK                                                                                   \
    "local s = mezz.stack { memory = '64M' }\n"                                                 \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M', cmdline = 'exits=callback' }\n" \
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"              \
    "    programs = { 'libapi.elf', 'agent.elf', 'intrude.elf %s' } }\n"                        \
    "tiny:guard { library = 'libapi.elf', agent = 'agent.elf', functions = {\n"                 \
    "    api_open = { args = { 'cstring', 'value' } }, api_close = { args = { '%s' } },\n"      \
    "    api_read = { %s },\n"                                                                  \
    "    api_write = { args = { 'value', { 'buffer', length = 3 }, 'value' } },\n"              \
    "    api_sum = { %s } } }\n"                                                                \
    "s:run { timeout = '120s' }\n"

static const struct {
    const char *way;
    const char *close_takes;
    const char *console;
    const char *counted; /* once, in the guard's part of the report */
} intruders[] = {
    {"memory", "value", "intrude: memory: -14\n", "unreadable"},
    {"length", "value", "intrude: length: -14\n", "unreadable"},
    {"buffer", "value", "intrude: buffer: -14\n", "unreadable"},
    {"text", "value", "intrude: text: -14\n", "unreadable"},
    {"value", "value", "intrude: value: -14\n", "unreadable"},
    {"hook", "value", "intrude.elf: general protection", "refusals.bad-argument"},
    {"hook-text", "value", "intrude.elf: general protection", "refusals.bad-argument"},
    {"stack", "value", "intrude.elf: general protection", "refusals.no-stack"},
    /* What was declared to be no pointer is none for the agent; the function knows no such file. */
    {"value", "number", "intrude: value: -9\n", NULL},
    {"direction", "value", "intrude: direction: 1\n", NULL},
    {"chance", "value", "intrude: chance: -9\n", NULL},
    {"undeclared", "value", "intrude: undeclared: 0\n", NULL},
};

START_TEST(intruder)
{
    const char *argv[] = {"run", "t.lua", "--json", "out.json", NULL};
    struct mezz_process mezz;
    char text[2048], path[128];
    const bool declared = strcmp(intruders[_i].way, "undeclared") != 0;
    const char *console;
    json_t *json;

    snprintf(text, sizeof(text), STACK, intruders[_i].way, intruders[_i].close_takes,
             declared ? "args = { 'value', { 'memory', length = 3 }, 'value' }" : "",
             declared ? "args = { { 'memory', length = 2 }, 'value' }" : "");
    mezz_begin(&mezz);
    mezz_write(&mezz, "t.lua", text, strlen(text));
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    console = json_string_value(mezz_at(json, "levels.l2.tiny.console"));
    ck_assert_msg(strstr(console, intruders[_i].console) != NULL, "%s", console);
    if (intruders[_i].counted != NULL) {
        snprintf(path, sizeof(path), "levels.l2.tiny.guard.%s", intruders[_i].counted);
        ck_assert_int_eq(json_integer_value(mezz_at(json, path)), 1);
    } else {
        ck_assert_int_eq(json_integer_value(mezz_at(json, "levels.l2.tiny.guard.refused")), 0);
    }
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "guard_intruders", 60, EACH(intruder, ELEMENTS(intruders)))
