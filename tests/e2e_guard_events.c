/* SPDX-License-Identifier: Apache-2.0 */
/* Who hears of guarded calls and decides: the stack file, or L1. And what happens inside of one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mezz_process.h"
#include "runner.h"

#define HEARING                                                                     \
    "local s = mezz.stack { memory = '64M' }\n"                                     \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M', cmdline = '%s' }\n" \
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"  \
    "    programs = { 'libapi.elf', 'agent.elf', 'denied.elf' } }\n"                \
    "tiny:guard { library = 'libapi.elf', agent = 'agent.elf', %s\n"                \
    "    functions = { api_open = { args = { 'cstring', 'value' } },   "            \
    "        api_sum = { args = { { 'memory', length = 2 }, 'value' } } } }\n"      \
    "%s\n"                                                                          \
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
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.unheard"), 0);
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

/* Who decided about a file, or nobody yet: "asked". */
static void expect_logged(const struct mezz_process *mezz, const char *by, const char *file)
{
    const bool asked = strcmp(by, "asked") == 0;
    char *log = mezz_read(mezz, "guard.log");
    char field[128];
    const char *at = log;

    snprintf(field, sizeof(field), "\"by\":\"%s\",\"arg1\":\"%s\"", by, file);
    if (asked) {
        snprintf(field, sizeof(field), "\",\"arg1\":\"%s\"", file);
        at = strstr(log, "\"reason\":\"asked\",\"verdict\":\"asked\"");
    }
    ck_assert_msg(at != NULL && strstr(at, field) != NULL, "no %s in:\n%s", field, log);
    free(log);
}

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
    ck_assert(mezz_tiny_says(json, denials[_i].console));
    ck_assert_int_ge(mezz_count_at(json, "levels.l2.tiny.guard.events.asked"), 1);
    log = mezz_read(&mezz, "guard.log");
    ck_assert_ptr_nonnull(strstr(log, "\"caller\":\"denied.elf:ask_for+0x"));
    free(log);
    expect_logged(&mezz, "asked", "public.txt");
    expect_logged(&mezz, "script", "public.txt");
    if (strcmp(denials[_i].answer, "'kill'") != 0)
        expect_logged(&mezz, "agent", "secret.txt");
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
    ck_assert(mezz_tiny_says(json, "denied: public.txt: refused with -1\n"));
    ck_assert(mezz_tiny_says(json, "denied: secret.txt: refused with -13"));
    /* It was nobody's word. */
    expect_logged(&mezz, "late", "public.txt");
    ck_assert_int_ge(mezz_count_at(json, "levels.l2.tiny.guard.unheard"), 1);
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
    const char *by;      /* whoever decided about public.txt */
} in_l1[] = {
    {"exits=callback guard=observe", "", "denied: public.txt: opened",
     "guarded function 0, event 2, verdict 1: observed", "agent"},
    {"exits=callback guard=observe", "on_refusal = 'error',",
     "denied: secret.txt: refused with -13", "guarded function 0, event 28, verdict 2: observed",
     "agent"},
    {"exits=callback guard=refuse", "decide = 'l1',", "denied: public.txt: refused with -1\n",
     "guarded function 0, event 7, verdict 0: refused", "l1"},
    {"exits=callback guard=allow", "decide = 'l1',", "denied: public.txt: opened",
     "guarded function 0, event 7, verdict 0: allowed", "l1"},
    {"exits=callback guard=refuse", "", "denied: public.txt: opened", NULL, "agent"},
    {"exits=callback", "decide = 'l1',", "denied: public.txt: refused with -1\n", NULL, "l1"},
    {"exits=reflect guard=refuse", "decide = 'l1',", "denied: public.txt: refused with -1\n",
     "event 7, verdict 0: refused", "l1"},
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
    ck_assert_msg(mezz_tiny_says(json, in_l1[_i].console), "%s",
                  json_string_value(mezz_at(json, "levels.l2.tiny.console")));
    if (in_l1[_i].l1 != NULL)
        ck_assert_msg(strstr(l1, in_l1[_i].l1) != NULL, "%s", l1);
    else
        ck_assert_msg(strstr(l1, "event 7") == NULL, "%s", l1);
    expect_logged(&mezz, in_l1[_i].by, "public.txt");
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

/* --- inside a call --- */

#define INSIDE                                                                                 \
    "local s = mezz.stack { memory = '64M' }\n"                                                \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M' }\n"                            \
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"             \
    "    programs = { 'libapi.elf', 'agent-waits.elf', 'inside.elf %s', 'notes.elf' } }\n"     \
    "tiny:guard { library = 'libapi.elf', agent = 'agent-waits.elf', decide = 'script',\n"     \
    "    functions = { api_open = { args = { 'cstring', 'value' } },"                          \
    "        api_read = { args = { 'value', { 'memory', length = 3 }, 'value' } },\n"          \
    "        api_write = { args = { 'value', 'value', 'value' } },\n"                          \
    "        api_close = { args = { 'value' } }, api_append = { args = { 'cstring', 'value', " \
    "'number' } } } }\n"                                                                       \
    "tiny:on('guard', function(e)\n"                                                           \
    "    if e.type == 'asked' and e.caller:find('inside.elf', 1, true) then\n"                 \
    "        mezz.row { name = e.name, first = tostring(e.args[1]) }\n"                        \
    "    end\n"                                                                                \
    "    return e.args[1] == 'forbid' and e.name == 'api_open' and -77 or 'allow'\n"           \
    "end)\n"                                                                                   \
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
    ck_assert(mezz_tiny_says(json, "notes: read works"));
    ck_assert(!mezz_tiny_says(json, "FAILED"));
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.refused"), insides[_i].faults);
    if (insides[_i].faults != 0)
        ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.refusals.agent-fault"), 1);
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

/* --- what is told of a call that goes wrong inside, and of calls within calls --- */

#define TOLD                                                                                 \
    "local s = mezz.stack { memory = '64M' }\n"                                              \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M' }\n"                          \
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"           \
    "    programs = { 'libapi.elf', 'agent-waits.elf', 'inside.elf %s' } }\n"                \
    "tiny:guard { library = 'libapi.elf', agent = 'agent-waits.elf', on_refusal = '%s',\n"   \
    "    functions = { api_open = { args = { 'cstring', 'value' } },"                        \
    "        api_append = { args = { 'cstring', { 'memory', limit = 2 }, 'number' } } } }\n" \
    "tiny:on('guard', function(e)\n"                                                         \
    "    mezz.row { type = e.type, name = e.name, caller = e.caller, first = "               \
    "tostring(e.args[1]),\n"                                                                 \
    "        verdict = e.verdict, reason = e.reason, within = e.within, fault = e.fault,\n"  \
    "        at = e.fault_at, address = e.fault_address }\n"                                 \
    "end)\n"                                                                                 \
    "s:run { timeout = '120s', may_die = true }\n"

static json_t *told(struct mezz_process *mezz, const char *program, const char *on_refusal)
{
    static const char *const argv[] = {"run",   "t.lua",     "--json", "out.json",
                                       "--log", "guard.log", NULL};
    char text[2048];

    snprintf(text, sizeof(text), TOLD, program, on_refusal);
    mezz_begin(mezz);
    mezz_write(mezz, "t.lua", text, strlen(text));
    mezz_run(mezz, argv);
    mezz_expect(mezz, 0, "");
    return mezz_json(mezz);
}

static void must_start(const json_t *row, const char *member, const char *text)
{
    const char *is = json_string_value(json_object_get(row, member));

    ck_assert_msg(is != NULL && strncmp(is, text, strlen(text)) == 0, "%s: %s", member, is);
}

/* A fault of the agent's: "fault" writes to the address that is its text's length. */
static const struct {
    const char *program;
    const char *on_refusal;
    const char *verdict;
    const char *fault;
    const char *at;
    int address;
} faults[] = {
    {"fault", "kill", "kill", "page-fault", "agent-waits.elf:check_api_append+0x", 5},
    {"fault", "stop", "stop", "page-fault", "agent-waits.elf:check_api_append+0x", 5},
    {"recurse", "kill", "kill", "invalid-opcode", "agent-waits.elf:", 0},
};

START_TEST(fault_is_told)
{
    const bool stops = strcmp(faults[_i].on_refusal, "stop") == 0;
    struct mezz_process mezz;
    json_t *json = told(&mezz, faults[_i].program, faults[_i].on_refusal);
    const json_t *rows = mezz_at(json, "rows");
    const json_t *row = json_array_get(rows, json_array_size(rows) - 1);
    char *log = mezz_read(&mezz, "guard.log");
    char field[160];

    must_start(row, "type", "refused");
    must_start(row, "name", "api_append");
    must_start(row, "caller", "inside.elf:main+0x");
    must_start(row, "first", faults[_i].program);
    must_start(row, "reason", "agent-fault");
    must_start(row, "verdict", faults[_i].verdict);
    must_start(row, "fault", faults[_i].fault);
    must_start(row, "at", faults[_i].at);
    ck_assert_int_eq(json_integer_value(json_object_get(row, "address")), faults[_i].address);
    snprintf(field, sizeof(field), "\"symbol\":\"inside.elf:main+0x");
    ck_assert_msg(strstr(log, field) != NULL, "%s", log);
    snprintf(field, sizeof(field), "\"reason\":\"agent-fault\",\"verdict\":\"%s\"",
             faults[_i].verdict);
    ck_assert_msg(strstr(log, field) != NULL, "%s", log);
    snprintf(field, sizeof(field), "\"by\":\"guard\",\"arg1\":\"%s\"", faults[_i].program);
    ck_assert_msg(strstr(log, field) != NULL, "%s", log);
    snprintf(field, sizeof(field), "\"fault\":\"%s\",\"at\":\"%s", faults[_i].fault, faults[_i].at);
    ck_assert_msg(strstr(log, field) != NULL, "%s", log);
    ck_assert(mezz_tiny_says(json, "program ended") != stops);
    free(log);
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

/* In the order of their verdicts, before the call that they were made in. */
START_TEST(nested_is_told)
{
    struct mezz_process mezz;
    json_t *json = told(&mezz, "plain", "kill");
    const json_t *rows = mezz_at(json, "rows");
    const json_t *row = json_array_get(rows, 0);

    /* Twice api_append, and in each api_open; reads and writes are not guarded. */
    ck_assert_uint_eq(json_array_size(rows), 4);
    must_start(row, "type", "nested");
    must_start(row, "name", "api_open");
    must_start(row, "within", "api_append");
    must_start(row, "reason", "nested");
    must_start(row, "verdict", "allowed");
    row = json_array_get(rows, 1);
    must_start(row, "type", "call");
    must_start(row, "name", "api_append");
    ck_assert_str_eq(json_string_value(json_object_get(row, "within")), "");
    ck_assert_str_eq(json_string_value(json_object_get(row, "fault")), "");
    must_start(row, "first", "plain");
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "guard_events", 600, EACH(fault_is_told, ELEMENTS(faults)),
             ONCE(nested_is_told), EACH(handler_sees_each_call, ELEMENTS(cages)),
             EACH(handler_decides, ELEMENTS(denials)), ONCE(no_answer_is_a_denial),
             EACH(handler_fails, ELEMENTS(failures) * ELEMENTS(cages)),
             EACH(l1_hears_and_decides, ELEMENTS(in_l1)), EACH(inside, ELEMENTS(insides)))
