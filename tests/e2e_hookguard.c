/* SPDX-License-Identifier: Apache-2.0 */
/* Guarded API functions: the stacks, each engine, each way of the default view, and mistakes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mezz_process.h"
#include "runner.h"

#define STACK                                                                                   \
    "local s = mezz.stack { memory = '64M' }\n"                                                 \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M', cmdline = 'exits=callback' }\n" \
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"              \
    "    cmdline = 'hostile', %s programs = { 'libapi.elf', 'agent.elf', %s } }\n"              \
    "tiny:guard { library = 'libapi.elf', agent = 'agent.elf',\n"                               \
    "    functions = { api_open = { args = { 'cstring', 'value' } },\n"                         \
    "        api_append = { args = { 'cstring', { 'buffer', length = 3 }, 'value' } },\n"       \
    "        api_write = { args = { 'value', { 'buffer', length = 3 }, 'value' } },\n"          \
    "        api_sum = { args = { { 'memory', length = 2 }, 'value' } },\n"                     \
    "        api_read = { args = { 'value', { 'memory', length = 3 }, 'value' } },\n"           \
    "        api_close = { args = { 'value' } } }, %s }\n"                                      \
    "s:run { timeout = '120s', may_die = true }\n"

#define OWN_STACK                                                                               \
    "local s = mezz.stack { memory = '64M' }\n"                                                 \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M', cmdline = 'exits=callback' }\n" \
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M', %s\n"           \
    "    programs = { 'own-agent.elf', 'hello.elf', 'own.elf', 'own.elf greedy' } }\n"          \
    "tiny:guard { program = 'own.elf', agent = 'own-agent.elf',\n"                              \
    "    functions = { own_pay = { args = { 'cstring', 'number' } },\n"                         \
    "        own_pay_twice = { args = { 'cstring', 'number' } } }, %s }\n"                      \
    "s:run { timeout = '120s', may_die = true }\n"

static json_t *run_text(struct mezz_process *mezz, const char *text)
{
    const char *argv[] = {"run", "t.lua", "--json", "out.json", "--log", "guard.log", NULL};

    mezz_begin(mezz);
    mezz_write(mezz, "t.lua", text, strlen(text));
    mezz_run(mezz, argv);
    mezz_expect(mezz, 0, "");
    return mezz_json(mezz);
}

static json_t *run(struct mezz_process *mezz, const char *engine, const char *programs,
                   const char *more)
{
    char text[2048];

    snprintf(text, sizeof(text), STACK, engine, programs, more);
    return run_text(mezz, text);
}

START_TEST(example)
{
    struct mezz_process mezz;
    json_t *json;

    mezz_begin(&mezz);
    json = mezz_run_stack(&mezz, "hookguard.lua");

    mezz_expect(&mezz, 0, "");
    json_decref(json);
    mezz_end(&mezz, 1);
}
END_TEST

static const char *const engines[] = {"flip", "remap", "slots"};
static const char *const ways[] = {
    "",
    "defences = { 'padding', 'app-nx' }",
    "without = { 'api-nx', 'padding' }",
};

/* The same results on each engine and by each kind of hook. */
START_TEST(honest)
{
    struct mezz_process mezz;
    char engine[32];
    json_t *json;

    snprintf(engine, sizeof(engine), "engine = '%s',", engines[(size_t)_i / ELEMENTS(ways)]);
    json = run(&mezz, engine, "'notes.elf'", ways[(size_t)_i % ELEMENTS(ways)]);
    ck_assert(mezz_tiny_says(json, "notes: read works"));
    ck_assert(!mezz_tiny_says(json, "FAILED"));
    ck_assert_int_ge(mezz_count_at(json, "levels.l2.tiny.guard.calls"), 8);
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.refused"), 0);
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

/* A program's own functions, in two processes of it, beside one that has other code there. */
START_TEST(own)
{
    struct mezz_process mezz;
    char engine[32];
    char text[2048];
    json_t *json;
    char *log;

    snprintf(engine, sizeof(engine), "engine = '%s',", engines[(size_t)_i / ELEMENTS(ways)]);
    snprintf(text, sizeof(text), OWN_STACK, engine, ways[(size_t)_i % ELEMENTS(ways)]);
    json = run_text(&mezz, text);
    log = mezz_read(&mezz, "guard.log");
    ck_assert(mezz_tiny_says(json, "own: nested denial works"));
    ck_assert(mezz_tiny_says(json, "own: taking turns works"));
    ck_assert(mezz_tiny_says(json, "hello from ring 3"));
    ck_assert(!mezz_tiny_says(json, "FAILED"));
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.calls"), 2 * 55 + 1);
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.denied"), 2 * 2);
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.nested.denied"), 2);
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.refusals.killed"), 1);
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.missing"), 0);
    ck_assert_ptr_nonnull(strstr(log, "\"symbol\":\"own.elf:main+0x"));
    ck_assert_ptr_nonnull(strstr(log, "\"verdict\":\"denied\",\"library\":\"own.elf\","
                                      "\"function\":\"own_pay\""));
    free(log);
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

/* One instruction that KVM does not emulate, on a guarded page, ends its program and nobody else.
 */
START_TEST(strange_instruction)
{
    struct mezz_process mezz;
    json_t *json = run(&mezz, "", "'attack.elf read-strange', 'notes.elf'", "");

    ck_assert(mezz_tiny_says(json, "attack.elf: invalid opcode"));
    ck_assert(mezz_tiny_says(json, "notes: read works"));
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

/* What a refusal leads to. */
static const struct {
    const char *on_refusal;
    const char *console; /* NULL: the L2 dies */
} answers[] = {
    {"on_refusal = 'kill'", "attack.elf: general protection"},
    {"on_refusal = 'error'", "attack: stolen-prologue: failed"},
    {"on_refusal = 'log'", "attack: stolen-prologue: failed"},
    {"on_refusal = 'stop'", NULL},
};

START_TEST(answer)
{
    struct mezz_process mezz;
    json_t *json = run(&mezz, "", "'attack.elf stolen-prologue'", answers[_i].on_refusal);
    char *log = mezz_read(&mezz, "guard.log");

    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.refusals.not-an-entry"), 1);
    ck_assert_ptr_nonnull(strstr(log, "\"reason\":\"not-an-entry\""));
    free(log);
    if (answers[_i].console == NULL)
        ck_assert_str_eq(json_string_value(mezz_at(json, "levels.l2.tiny.status")), "died");
    else
        ck_assert(mezz_tiny_says(json, answers[_i].console));
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

/* Each call is in the log, with what it was called with. */
START_TEST(calls_are_logged)
{
    struct mezz_process mezz;
    json_t *json = run(&mezz, "", "'denied.elf'", "budget = '20ms'");
    char *log = mezz_read(&mezz, "guard.log");

    ck_assert_ptr_nonnull(log);
    ck_assert_ptr_nonnull(strstr(log, "\"symbol\":\"denied.elf:ask_for+0x"));
    ck_assert_ptr_nonnull(strstr(log, "\"reason\":\"return\",\"verdict\":\"denied\",\"library\":"
                                      "\"libapi.elf\",\"function\":\"api_open\""));
    ck_assert_ptr_nonnull(strstr(log, "\"arg1\":\"secret.txt\""));
    ck_assert_ptr_nonnull(strstr(log, "\"reason\":\"killed\""));
    free(log);
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

/* Nothing has run when a declaration is refused. */
static const struct {
    const char *declaration;
    const char *error;
} mistakes[] = {
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_opne = {} } }",
     "libapi.elf: guard of api_opne: the library has no such symbol"},
    {"{ library = 'libabi.elf', agent = 'agent.elf', functions = { api_open = {} } }",
     "L2 tiny has no program \"libabi.elf\""},
    {"{ library = 'libapi.elf', agent = 'other.elf', functions = { api_open = {} } }",
     "L2 tiny has no program \"other.elf\""},
    {"{ library = 'libapi.elf', agent = 'hello.elf', functions = { api_open = {} } }",
     "hello.elf: the agent has no callback \"check_api_open\""},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} },"
     " defences = { 'api-xn' } }",
     "there is no \"api-xn\"; did you mean \"api-nx\"?"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = { args = { 'text' } "
     "} } }",
     "there is no \"text\""},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_write = { args = { 'value', "
     "'buffer' } } } }",
     "a length is missing: { \"buffer\", length = 3 }"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} }, defences = {} "
     "}",
     "l2:guard: defences: an empty list; leave it out for all defences"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} }, without = {} }",
     "l2:guard: without: an empty list"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} }, defences = { x "
     "= 'padding' } }",
     "l2:guard: defences: expected a list"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} }, defences = { "
     "'app-nx' } }",
     "l2:guard: defences: one of \"padding\" and \"api-nx\" is needed"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = { args = { { "
     "'cstring', limt = 5 } } } } }",
     "functions: api_open: args[1]: there is no \"limt\"; did you mean \"limit\"?"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = { args = { { "
     "'value', limit = 5 } } } } }",
     "functions: api_open: args[1]: a number has no limit"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = { args = { 'value', "
     "nil, 'cstring' } } } }",
     "functions: api_open: args: the list has a hole"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} }, gate = "
     "0x10900001 }",
     "the gate is a page: 0x10900001 is within one"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} }, gate = "
     "0x10000000, without = { 'api-nx' } }",
     "libapi.elf: the gate is a page of it or of its agent"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} }, gate = "
     "0x401000 }",
     "l2:guard: gate: hello.elf lies there"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} }, gate = "
     "0x401000, without = { 'api-nx' } }",
     "l2:guard: gate: hello.elf lies there"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = { args = { { "
     "'buffer', length = 6 }, { 'buffer', length = 6 }, { 'buffer', length = 6 }, { 'buffer', "
     "length = 6 }, { 'buffer', length = 6 }, 'value' } } } }",
     "libapi.elf: guard of api_open: the copies of its arguments may be larger"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = {} }",
     "a guard has 1 to 32 functions"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} },"
     " on_refusal = 'kil' }",
     "did you mean \"kill\"?"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} },"
     " decide = 'scrpt' }",
     "l2:guard: decide: there is no \"scrpt\"; did you mean \"script\"?"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} },"
     " decide = 'script' } s:run {}",
     "stack:run: the guard of L2 tiny has decide = \"script\", and nobody to ask"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} } }"
     " tiny:on('gaurd', print)",
     "l2:on: there is no event \"gaurd\"; did you mean \"guard\"?"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} } }"
     " tiny:on('guard', 'print')",
     "l2:on: guard: expected a function, got string"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} } }"
     " tiny:on 'guard'",
     "l2:on: guard: expected a function, got nothing"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} } }"
     " tiny:on('guard', print) tiny:on('guard', print)",
     "l2:on: L2 tiny has a handler for \"guard\" already"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} } }"
     " tiny:protect { program = 'hello.elf', portion = 'p', symbols = { 'main' }, entries = { "
     "'main' "
     "} }",
     "l2:protect: L2 tiny has a guard: portions go into an L2 without"},
};

START_TEST(nobody_calls)
{
    static const char text[] =
        "local s = mezz.stack {} local l1 = s:l1 { image = 'nested_l1.elf' }\n"
        "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"
        "    programs = { 'libapi.elf', 'agent.elf' } }\n"
        "tiny:guard { library = 'libapi.elf', agent = 'agent.elf', functions = { api_sum = {} } "
        "}\n";
    static const char *const argv[] = {"run", "t.lua", NULL};
    struct mezz_process mezz;

    mezz_begin(&mezz);
    mezz_write(&mezz, "t.lua", text, strlen(text));
    mezz_run(&mezz, argv);
    ck_assert_int_eq(mezz.status, 2);
    ck_assert_msg(strstr(mezz.err, "t.lua:4: l2:guard: L2 tiny has no program that could call "
                                   "libapi.elf") != NULL,
                  "%s", mezz.err);
    mezz_end(&mezz, 1);
}
END_TEST

START_TEST(mistake)
{
    static const char *const argv[] = {"run", "t.lua", NULL};
    struct mezz_process mezz;
    char text[1024];

    snprintf(text, sizeof(text),
             "local s = mezz.stack {} local l1 = s:l1 { image = 'nested_l1.elf' }\n"
             "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"
             "    programs = { 'libapi.elf', 'agent.elf', 'hello.elf' } }\n"
             "tiny:guard %s\n",
             mistakes[_i].declaration);
    mezz_begin(&mezz);
    mezz_write(&mezz, "t.lua", text, strlen(text));
    mezz_run(&mezz, argv);
    ck_assert_int_eq(mezz.status, 2);
    ck_assert_msg(strstr(mezz.err, "t.lua:4: ") != NULL, "%s", mezz.err);
    ck_assert_msg(strstr(mezz.err, mistakes[_i].error) != NULL, "%s", mezz.err);
    mezz_end(&mezz, 1);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "hookguard", 900, ONCE(example),
             EACH(honest, ELEMENTS(engines) * ELEMENTS(ways)), EACH(answer, ELEMENTS(answers)),
             EACH(own, ELEMENTS(engines) * ELEMENTS(ways)), ONCE(calls_are_logged),
             ONCE(nobody_calls), ONCE(strange_instruction), EACH(mistake, ELEMENTS(mistakes)))
