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
    ck_assert(says(json, "notes: read works"));
    ck_assert(!says(json, "FAILED"));
    ck_assert_int_ge(count_at(json, "levels.l2.tiny.guard.calls"), 8);
    ck_assert_int_eq(count_at(json, "levels.l2.tiny.guard.refused"), 0);
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

    ck_assert(says(json, "attack.elf: invalid opcode"));
    ck_assert(says(json, "notes: read works"));
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

/* --- who hears and decides --- */

#define HEARING                                                                          \
    "local s = mezz.stack { memory = '64M' }\n"                                          \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M', cmdline = '%s' }\n"      \
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"       \
    "    programs = { 'libapi.elf', 'agent.elf', 'denied.elf' } }\n"                     \
    "tiny:guard { library = 'libapi.elf', agent = 'agent.elf', %s\n"                     \
    "    functions = { api_open = { args = { 'cstring', 'value' } }, api_sum = {} } }\n" \
    "%s\n"                                                                               \
    "s:run { timeout = '120s', may_die = true }\n"

static void hear(struct mezz_process *mezz, const char *cmdline, const char *more,
                 const char *handler, const char *cage)
{
    const char *argv[] = {"run", "t.lua", "--json", "out.json", "--log", "guard.log", cage, NULL};
    char text[2048];

    snprintf(text, sizeof(text), HEARING, cmdline, more, handler);
    mezz_begin(mezz);
    mezz_write(mezz, "t.lua", text, strlen(text));
    mezz_run(mezz, argv);
}

/* In the cage and without: the handler sees each call, with arguments and caller. */
static const char *const cages[] = {NULL, "--no-cage"};

START_TEST(handler_sees_each_call)
{
    static const char handler[] =
        "tiny:on('guard', function(e)\n"
        "    mezz.row { type = e.type, name = e.name, caller = e.caller:match '^[^+]+',\n"
        "        first = e.args[1], second = e.args[2], verdict = e.verdict, reason = e.reason }\n"
        "end)";
    static const struct {
        const char *type, *first, *verdict, *reason;
    } calls[] = {{"call", "public.txt", "allowed", "return"},
                 {"call", "secret.txt", "denied", "return"},
                 {"refused", "forbidden.txt", "kill", "killed"}};
    struct mezz_process mezz;
    json_t *json;

    hear(&mezz, "exits=callback", "", handler, cages[_i]);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert_uint_eq(json_array_size(mezz_at(json, "rows")), ELEMENTS(calls));
    for (size_t i = 0; i < ELEMENTS(calls); i++) {
        const json_t *row = json_array_get(mezz_at(json, "rows"), i);

        ck_assert_str_eq(json_string_value(json_object_get(row, "type")), calls[i].type);
        ck_assert_str_eq(json_string_value(json_object_get(row, "name")), "api_open");
        ck_assert_str_eq(json_string_value(json_object_get(row, "caller")), "denied.elf:ask_for");
        ck_assert_str_eq(json_string_value(json_object_get(row, "first")), calls[i].first);
        ck_assert_int_eq(json_integer_value(json_object_get(row, "second")), 1);
        ck_assert_str_eq(json_string_value(json_object_get(row, "verdict")), calls[i].verdict);
        ck_assert_str_eq(json_string_value(json_object_get(row, "reason")), calls[i].reason);
    }
    ck_assert_int_eq(count_at(json, "levels.l2.tiny.guard.unheard"), 0);
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

/* It denies one call, which the agent allows; the function does not run. */
static const struct {
    const char *answer;
    const char *console;
} denials[] = {
    {"'deny'", "denied: public.txt: refused with -1"},
    {"-7", "denied: public.txt: refused with -7"},
    {"'kill'", "denied.elf: general protection"},
    {"'allow'", "denied: public.txt: opened"},
};

START_TEST(handler_decides)
{
    struct mezz_process mezz;
    char handler[256];
    char *log;
    json_t *json;

    snprintf(handler, sizeof(handler),
             "tiny:on('guard', function(e)\n"
             "    if e.type == 'asked' and e.args[1] == 'public.txt' then return %s end\n"
             "    return 'allow'\nend)",
             denials[_i].answer);
    hear(&mezz, "exits=callback", "decide = 'script',", handler, NULL);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert(says(json, denials[_i].console));
    ck_assert_int_ge(count_at(json, "levels.l2.tiny.guard.events.asked"), 1);
    log = mezz_read(&mezz, "guard.log");
    ck_assert_ptr_nonnull(strstr(log, "\"caller\":\"denied.elf:ask_for+0x"));
    free(log);
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

/* One that never answers in time is a refusal, and the run goes on. */
START_TEST(no_answer_is_a_denial)
{
    static const char handler[] = "tiny:on('guard', function(e)\n"
                                  "    if e.type == 'asked' and e.args[1] == 'public.txt' then\n"
                                  "        for i = 1, 2e6 do local x = i end\n"
                                  "    end\n"
                                  "    return 'allow'\nend)";
    struct mezz_process mezz;
    json_t *json;

    hear(&mezz, "exits=callback", "decide = 'script', answer_within = '1ms',", handler, NULL);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert(says(json, "denied: public.txt: refused with -1\n"));
    ck_assert(says(json, "denied: secret.txt: refused with -13"));
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

static const struct {
    const char *more;
    const char *handler;
    const char *error;
} failures[] = {
    {"", "tiny:on('guard', function(e) error 'mine' end)", "t.lua:7: mine"},
    {"", "tiny:on('guard', function(e) return e.nmae end)",
     "t.lua:7: event has no \"nmae\"; did you mean \"name\"?"},
    {"", "tiny:on('guard', function(e) return 'deny' end)",
     "t.lua:7: l2:on: the handler for \"guard\" answered deny, where nothing is asked: that needs "
     "decide = \"script\" in l2:guard"},
    {"decide = 'script',", "tiny:on('guard', function(e) return 'dney' end)",
     "t.lua:7: l2:on: the handler for \"guard\" answered \"dney\": expected \"allow\", \"deny\", "
     "\"kill\" or an error from -4095 to -1"},
    {"decide = 'script',", "tiny:on('guard', function(e) end)",
     "t.lua:7: l2:on: the handler for \"guard\" answered nil: expected \"allow\""},
    {"decide = 'script',", "tiny:on('guard', function(e) while true do end end)",
     "t.lua:7: used more than 10000"}, /* 0000 instructions, or on a slow machine ms */
};

START_TEST(handler_fails)
{
    const size_t one = (size_t)_i / ELEMENTS(cages);
    struct mezz_process mezz;

    hear(&mezz, "exits=callback", failures[one].more, failures[one].handler,
         cages[(size_t)_i % ELEMENTS(cages)]);
    ck_assert_int_eq(mezz.status, 2);
    ck_assert_msg(strstr(mezz.err, failures[one].error) != NULL, "%s", mezz.err);
    mezz_end(&mezz, 3);
}
END_TEST

/* L1 is asked, and hears; without a callback of its nobody says yes. */
static const struct {
    const char *cmdline;
    const char *more;
    const char *console; /* of the L2 */
    const char *l1;      /* NULL: L1 says nothing of it */
} in_l1[] = {
    {"exits=callback guard=observe", "", "denied: public.txt: opened",
     "guarded function 0, event 2, verdict 1: observed"},
    {"exits=callback guard=observe", "on_refusal = 'error',",
     "denied: secret.txt: refused with -13", "guarded function 0, event 28, verdict 2: observed"},
    {"exits=callback guard=refuse", "decide = 'l1',", "denied: public.txt: refused with -1\n",
     "guarded function 0, event 7, verdict 0: refused"},
    {"exits=callback guard=allow", "decide = 'l1',", "denied: public.txt: opened",
     "guarded function 0, event 7, verdict 0: allowed"},
    {"exits=callback guard=refuse", "", "denied: public.txt: opened", NULL},
    {"exits=callback", "decide = 'l1',", "denied: public.txt: refused with -1\n", NULL},
    {"exits=reflect guard=refuse", "decide = 'l1',", "denied: public.txt: refused with -1\n",
     "event 7, verdict 0: refused"},
};

START_TEST(l1_hears_and_decides)
{
    struct mezz_process mezz;
    const char *l1;
    json_t *json;

    hear(&mezz, in_l1[_i].cmdline, in_l1[_i].more, "", NULL);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    l1 = json_string_value(mezz_at(json, "levels.l1.console"));
    ck_assert_msg(says(json, in_l1[_i].console), "%s",
                  json_string_value(mezz_at(json, "levels.l2.tiny.console")));
    if (in_l1[_i].l1 != NULL)
        ck_assert_msg(strstr(l1, in_l1[_i].l1) != NULL, "%s", l1);
    else
        ck_assert_msg(strstr(l1, "event 7") == NULL, "%s", l1);
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

/* --- inside a call --- */

#define INSIDE                                                                                    \
    "local s = mezz.stack { memory = '64M' }\n"                                                   \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M' }\n"                               \
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"                \
    "    programs = { 'libapi.elf', 'agent-waits.elf', 'inside.elf %s', 'notes.elf' } }\n"        \
    "tiny:guard { library = 'libapi.elf', agent = 'agent-waits.elf', decide = 'script',\n"        \
    "    functions = { api_open = { args = { 'cstring', 'value' } }, api_read = {}, api_write = " \
    "{},\n"                                                                                       \
    "        api_close = {}, api_append = { args = { 'cstring', 'value', 'value' } } } }\n"       \
    "tiny:on('guard', function(e)\n"                                                              \
    "    if e.type == 'asked' and e.caller:find('inside.elf', 1, true) then\n"                    \
    "        mezz.row { name = e.name, first = tostring(e.args[1]) }\n"                           \
    "    end\n"                                                                                   \
    "    return e.args[1] == 'forbid' and e.name == 'api_open' and -77 or 'allow'\n"              \
    "end)\n"                                                                                      \
    "s:run { timeout = '120s', may_die = true }\n"

/* Functions that call each other are looked at each time and keep their results; what goes wrong
 * inside ends its own program, and no other. */
static const struct {
    const char *name;
    const char *console;
    size_t asked; /* calls of inside.elf, of both api_append's functions */
    unsigned int faults;
} insides[] = {
    {"plain", "inside: plain: -27\ninside: afterwards: 2\n", 10, 0},
    {"forbid", "inside: forbid: -77\ninside: afterwards: 2\n", 7, 0},
    {"nested", "inside: nested: -27\ninside: afterwards: 2\n", 35, 0},
    {"fault", "inside.elf: page fault (write)", 0, 1},
    {"recurse", "inside.elf: invalid opcode", 0, 1},
};

START_TEST(inside)
{
    static const char *const argv[] = {"run", "t.lua", "--json", "out.json", NULL};
    struct mezz_process mezz;
    char text[2048];
    const char *console;
    json_t *json;

    snprintf(text, sizeof(text), INSIDE, insides[_i].name);
    mezz_begin(&mezz);
    mezz_write(&mezz, "t.lua", text, strlen(text));
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    console = json_string_value(mezz_at(json, "levels.l2.tiny.console"));
    if (insides[_i].faults == 0) {
        char *second = strstr(insides[_i].console, "\n") + 1;
        const size_t first = (size_t)(second - insides[_i].console);
        char line[64];

        /* The other program writes, too. */
        snprintf(line, sizeof(line), "%.*s", (int)first, insides[_i].console);
        ck_assert_msg(strstr(console, line) != NULL && strstr(console, second) != NULL, "%s",
                      console);
    } else {
        ck_assert_msg(strstr(console, insides[_i].console) != NULL, "%s", console);
    }
    ck_assert_uint_eq(json_array_size(json_object_get(json, "rows")), insides[_i].asked);
    ck_assert(says(json, "notes: read works"));
    ck_assert(!says(json, "FAILED"));
    ck_assert_int_eq(count_at(json, "levels.l2.tiny.guard.refused"), insides[_i].faults);
    if (insides[_i].faults != 0)
        ck_assert_int_eq(count_at(json, "levels.l2.tiny.guard.refusals.agent-fault"), 1);
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "hookguard", 900, ONCE(example),
             EACH(honest, ELEMENTS(engines) * ELEMENTS(ways)), EACH(answer, ELEMENTS(answers)),
             ONCE(calls_are_logged), ONCE(nobody_calls), ONCE(strange_instruction),
             EACH(mistake, ELEMENTS(mistakes)), EACH(handler_sees_each_call, ELEMENTS(cages)),
             EACH(handler_decides, ELEMENTS(denials)), ONCE(no_answer_is_a_denial),
             EACH(handler_fails, ELEMENTS(failures) * ELEMENTS(cages)),
             EACH(l1_hears_and_decides, ELEMENTS(in_l1)), EACH(inside, ELEMENTS(insides)))
