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
    "    functions = { api_open = { args = { 'cstring', 'value' } }, api_append = {},\n"        \
    "        api_write = { args = { 'value', { 'buffer', length = 3 }, 'value' } },\n"          \
    "        api_sum = {}, api_read = {}, api_close = {} }, %s }\n"                             \
    "s:run { timeout = '120s', may_die = true }\n"

static long long count_at(const json_t *json, const char *path)
{
    return json_integer_value(mezz_at(json, path));
}

static bool says(const json_t *json, const char *text)
{
    return strstr(json_string_value(mezz_at(json, "levels.l2.tiny.console")), text) != NULL;
}

static json_t *run(struct mezz_process *mezz, const char *engine, const char *programs,
                   const char *more)
{
    const char *argv[] = {"run", "t.lua", "--json", "out.json", "--log", "guard.log", NULL};
    char text[2048];

    snprintf(text, sizeof(text), STACK, engine, programs, more);
    mezz_begin(mezz);
    mezz_write(mezz, "t.lua", text, strlen(text));
    mezz_run(mezz, argv);
    mezz_expect(mezz, 0, "");
    return mezz_json(mezz);
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
    "defences = { 'padding', 'app-nx', 'gate-sites', 'gate-index', 'read-only', 'agent-hidden',"
    " 'agent-stack', 'copies', 'return-check', 'mapping-check', 'kernel-nx' }",
    "defences = { 'app-nx', 'gate-sites', 'gate-index', 'read-only', 'agent-hidden',"
    " 'agent-stack', 'copies', 'return-check', 'mapping-check', 'kernel-nx' }",
};

/* The same results on each engine and by each kind of hook. */
START_TEST(honest)
{
    struct mezz_process mezz;
    char engine[32];
    json_t *json;

    snprintf(engine, sizeof(engine), "engine = '%s',", engines[(size_t)_i / ELEMENTS(ways)]);
    json = run(&mezz, engine, "'notes.elf'", ways[(size_t)_i % ELEMENTS(ways)]);
    ck_assert(says(json, "notes: read works"));
    ck_assert(!says(json, "FAILED"));
    ck_assert_int_ge(count_at(json, "levels.l2.tiny.guard.calls"), 8);
    ck_assert_int_eq(count_at(json, "levels.l2.tiny.guard.refused"), 0);
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

    ck_assert_int_eq(count_at(json, "levels.l2.tiny.guard.refusals.not-an-entry"), 1);
    ck_assert_ptr_nonnull(strstr(log, "\"reason\":\"not-an-entry\""));
    free(log);
    if (answers[_i].console == NULL)
        ck_assert_str_eq(json_string_value(mezz_at(json, "levels.l2.tiny.status")), "died");
    else
        ck_assert(says(json, answers[_i].console));
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
    ck_assert_ptr_nonnull(strstr(log, "\"symbol\":\"api_open\",\"reason\":\"return\","
                                      "\"verdict\":\"denied\""));
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
     "a buffer's length is missing"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = {} }",
     "a guard has 1 to 32 functions"},
    {"{ library = 'libapi.elf', agent = 'agent.elf', functions = { api_open = {} },"
     " on_refusal = 'kil' }",
     "did you mean \"kill\"?"},
};

START_TEST(mistake)
{
    static const char *const argv[] = {"run", "t.lua", NULL};
    struct mezz_process mezz;
    char text[1024];

    snprintf(text, sizeof(text),
             "local l1 = mezz.stack {}:l1 { image = 'nested_l1.elf' }\n"
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
             ONCE(calls_are_logged), EACH(mistake, ELEMENTS(mistakes)))
