/* SPDX-License-Identifier: Apache-2.0 */
/* The stacks of stacks/, and what mezz run leaves of them: consoles, counts, JSON, exit status. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mezz_process.h"
#include "runner.h"
#include "views/host_traits.h"

#define STACK(firmware)                                                                      \
    "local s = mezz.stack { memory = '64M' }\n"                                              \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M', firmware = " firmware " }\n" \
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"           \
    "    programs = { 'hello.elf' } }\n"                                                     \
    "s:run { timeout = '60s' }\n"

static void run_stack(struct mezz_process *mezz, const char *name)
{
    char path[512];
    const char *argv[] = {"run", path, "--json", "out.json", NULL};

    snprintf(path, sizeof(path), "%s/%s", getenv("MEZZ_STACKS"), name);
    mezz_begin(mezz);
    mezz_run(mezz, argv);
    mezz_expect(mezz, 0, "");
}

static const char *text_at(const json_t *json, const char *path)
{
    return json_string_value(mezz_at(json, path));
}

static void ck_has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in:\n%s", part, text);
}

static void check_expectations(const json_t *json, size_t at_least)
{
    const json_t *expectations = mezz_at(json, "expectations");
    const json_t *one;
    size_t i;

    ck_assert_uint_ge(json_array_size(expectations), at_least);
    json_array_foreach(expectations, i, one)
    {
        ck_assert(json_is_true(mezz_at(one, "passed")));
        ck_assert_int_gt(mezz_count_at(one, "line"), 0);
        ck_assert_str_ne(text_at(one, "text"), "");
        ck_has(text_at(one, "file"), ".lua");
    }
}

START_TEST(hello)
{
    struct mezz_process mezz;
    json_t *json;

    run_stack(&mezz, "hello.lua");
    ck_has(mezz.out, "\nL2 tiny | hello from ring 3");
    ck_has(mezz.out, "\n6 of 6 expectations held\n");
    ck_assert_ptr_null(strchr(mezz.out, '\033'));
    json = mezz_json(&mezz);
    ck_assert_str_eq(text_at(json, "status"), "done");
    ck_assert_int_eq(mezz_count_at(json, "exit_status"), 0);
    ck_assert(json_is_null(mezz_at(json, "error")));
    ck_assert(json_real_value(mezz_at(json, "duration_ms")) > 0);
    ck_assert(json_real_value(mezz_at(json, "first_l2_output_ms")) > 0);
    ck_has(text_at(json, "levels.l1.console"), "root hypervisor found");
    ck_has(text_at(json, "levels.l2.tiny.console"), "hello from ring 3");
    ck_has(text_at(json, "levels.l2.tiny.console"), "tiny-os: all programs ended");
    ck_assert_str_eq(text_at(json, "levels.l2.tiny.status"), "done");
    ck_assert_int_gt(mezz_count_at(json, "levels.l2.tiny.exits.io.callback"), 0);
    ck_assert_int_ge(mezz_count_at(json, "levels.l2.tiny.exits.io.root"), 0);
    ck_assert_int_ge(mezz_count_at(json, "levels.l2.tiny.exits.io.reflect"), 0);
    ck_assert_int_gt(mezz_count_at(json, "levels.l2.tiny.kvm_runs"), 0);
    ck_assert_int_gt(mezz_count_at(json, "levels.l1.calls.callback_return"), 0);
    ck_assert_int_eq(mezz_count_at(json, "abi"), 1);
    check_expectations(json, 6);
    json_decref(json);
    mezz_end(&mezz, 1);
}
END_TEST

START_TEST(reflect)
{
    struct mezz_process mezz;
    const json_t *runs;
    json_t *json;

    run_stack(&mezz, "reflect.lua");
    json = mezz_json(&mezz);
    runs = mezz_at(json, "runs");
    ck_assert_uint_eq(json_array_size(runs), 2);
    ck_assert_int_gt(mezz_count_at(json_array_get(runs, 0), "levels.l2.tiny.exits.io.callback"), 0);
    ck_assert_int_eq(mezz_count_at(json_array_get(runs, 1), "levels.l2.tiny.exits_total.callback"),
                     0);
    ck_assert_int_gt(mezz_count_at(json_array_get(runs, 1), "levels.l2.tiny.exits.io.reflect"), 0);
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.exits_total.callback"), 0);
    check_expectations(json, 8);
    json_decref(json);
    mezz_end(&mezz, 1);
}
END_TEST

START_TEST(two_guests)
{
    struct mezz_process mezz;
    json_t *json;

    run_stack(&mezz, "two-guests.lua");
    json = mezz_json(&mezz);
    ck_has(text_at(json, "levels.l2.left.console"), "count: 5");
    ck_has(text_at(json, "levels.l2.right.console"), "hello from ring 3");
    ck_assert_int_gt(mezz_count_at(json, "levels.l2.left.exits_total.reflect"), 0);
    ck_assert_int_gt(mezz_count_at(json, "levels.l2.right.exits_total.reflect"), 0);
    check_expectations(json, 10);
    json_decref(json);
    mezz_end(&mezz, 1);
}
END_TEST

/* L1's own views, on each engine. */
START_TEST(views)
{
    struct mezz_process mezz;
    json_t *json;

    run_stack(&mezz, "views.lua");
    json = mezz_json(&mezz);
    check_expectations(json, 13);
    json_decref(json);
    mezz_end(&mezz, 1);
}
END_TEST

/* Command lines that nested_l1 does not take. */
static const char *const bad_lines[][2] = {
    {"views=both", "command line: views= wants turn"},
    {"views=turn ept=dirty", "command line: views= and ept= do not go together"},
    {"ept=wet", "command line: ept= wants dirty or cow"},
    {"portions=maybe", "command line: portions= wants allow or refuse"},
};

START_TEST(bad_command_line)
{
    static const char *const argv[] = {"run", "t.lua", NULL};
    struct mezz_process mezz;
    char text[512];
    int length = snprintf(text, sizeof(text),
                          "local s = mezz.stack {}\n"
                          "s:l1 { image = 'nested_l1.elf', memory = '16M', cmdline = '%s' }\n"
                          "s:run { timeout = '20s' }\n",
                          bad_lines[_i][0]);

    mezz_begin(&mezz);
    mezz_write(&mezz, "t.lua", text, (size_t)length);
    mezz_run(&mezz, argv);
    ck_assert_int_eq(mezz.status, 4);
    ck_has(mezz.out, bad_lines[_i][1]);
    mezz_end(&mezz, 1);
}
END_TEST

/* Through the reset vector and past it. */
START_TEST(both_starts)
{
    static const char *const stacks[] = {STACK("true"), STACK("false")};
    struct mezz_process mezz;

    mezz_begin(&mezz);
    mezz_run_text(&mezz, stacks[_i]);
    mezz_expect(&mezz, 0, "");
    ck_has(mezz.out, "hello from ring 3");
    mezz_end(&mezz, 1);
}
END_TEST

START_TEST(failed_expectation)
{
    struct mezz_process mezz;

    mezz_begin(&mezz);
    mezz_run_text(&mezz, STACK("true") "mezz.expect(tiny.console:find 'nobody', 'a greeting')\n"
                                       "mezz.expect(true, 'the rest')\n");
    mezz_expect(&mezz, 1, "mezz: t.lua:6: expectation failed: a greeting\n");
    ck_has(mezz.out, "\n1 of 2 expectations held\n");
    mezz_end(&mezz, 1);
}
END_TEST

START_TEST(json_to_stdout)
{
    static const char *const argv[] = {"run", "t.lua", "--json", "-", NULL};
    static const char text[] = STACK("true");
    struct mezz_process mezz;
    json_t *json;

    mezz_begin(&mezz);
    mezz_write(&mezz, "t.lua", text, sizeof(text) - 1);
    mezz_run(&mezz, argv);
    ck_assert_int_eq(mezz.status, 0);
    json = json_loads(mezz.out, 0, NULL);
    ck_assert_ptr_nonnull(json);
    ck_assert_str_eq(text_at(json, "status"), "done");
    ck_has(mezz.err, "L2 tiny | hello from ring 3");
    json_decref(json);
    mezz_end(&mezz, 1);
}
END_TEST

static const struct {
    const char *out;
    const char *out_to;
    int status;
    const char *err;
} outputs[] = {
    {"/dev/full", NULL, 3, "mezz: /dev/full: cannot write: No space left on device\n"},
    {"none/out.json", NULL, 2,
     "mezz: --json: none/out.json: cannot write: No such file or "
     "directory\n"},
    {"/", NULL, 2, "mezz: --json: /: cannot write: Is a directory\n"},
    {"/dev/null", "/dev/full", 3,
     "mezz: cannot write to the standard output: No space left on "
     "device\n"},
    {"-", "/dev/full", 3, "mezz: the standard output: cannot write: No space left on device\n"},
    {"/dev/null", "", 3, "mezz: cannot write to the standard output: Bad file descriptor\n"},
};

START_TEST(output_that_fails)
{
    const char *argv[] = {"run", "t.lua", "--json", outputs[_i].out, NULL};
    struct mezz_process mezz;

    mezz_begin(&mezz);
    mezz.out_to = outputs[_i].out_to;
    mezz_write(&mezz, "t.lua", "print 'text'\n", 13);
    mezz_run(&mezz, argv);
    ck_assert_int_eq(mezz.status, outputs[_i].status);
    ck_has(mezz.err, outputs[_i].err);
    mezz_end(&mezz, 1);
}
END_TEST

/* A file that is there is replaced when all is written, and not before. */
START_TEST(json_is_replaced)
{
    static const char *const good[] = {"run", "t.lua", "--json", "out.json", NULL};
    struct mezz_process mezz;
    json_t *json;

    mezz_begin(&mezz);
    mezz_write(&mezz, "out.json", "old", 3);
    mezz_write(&mezz, "t.lua", "mezz.expect(true, 'x')", 22);
    mezz_run(&mezz, good);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert(json_is_null(mezz_at(json, "status")));
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

START_TEST(interrupt)
{
    struct mezz_process mezz;

    mezz_begin(&mezz);
    mezz.interrupt_after_ms = 300;
    mezz_run_text(&mezz, "local s = mezz.stack {}\n"
                         "s:l1 { image = 'l1_loop.elf', memory = '4M' }\n"
                         "s:run { timeout = '60s' }\n"
                         "while true do end\n");
    mezz_expect(&mezz, 128 + 2, "mezz: t.lua:3: interrupted: ended by SIGINT\n");
    mezz_end(&mezz, 1);
}
END_TEST

/* One line of JSON for each decision, whole numbers of them. */
START_TEST(trace)
{
    static const char *const argv[] = {"run", "t.lua", "--trace", "out.json", NULL};
    static const char text[] = STACK("true");
    struct mezz_process mezz;
    char path[128];
    char line[512];
    int lines = 0;
    FILE *file;

    mezz_begin(&mezz);
    mezz_write(&mezz, "t.lua", text, sizeof(text) - 1);
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 0, "");
    snprintf(path, sizeof(path), "%s/out.json", mezz.directory);
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    for (; fgets(line, sizeof(line), file) != NULL; lines++) {
        json_t *json = json_loads(line, 0, NULL);

        ck_assert_msg(json != NULL, "%s", line);
        ck_assert_str_eq(text_at(json, "l2"), "tiny");
        ck_assert_str_ne(text_at(json, "decision"), "");
        json_decref(json);
    }
    fclose(file);
    ck_assert_int_gt(lines, 0);
    mezz_end(&mezz, 2);
}
END_TEST

START_TEST(info)
{
    static const char *const words[][3] = {{"info", NULL}, {"info", "--json", NULL}};
    struct mezz_process mezz;
    json_t *json;

    mezz_begin(&mezz);
    mezz_run(&mezz, words[0]);
    mezz_expect(&mezz, 0, "");
    ck_has(mezz.out, "\npage tables: ");
    ck_has(mezz.out, "\nmemory views: engine ");
    mezz_run(&mezz, words[1]);
    mezz_expect(&mezz, 0, "");
    json = json_loads(mezz.out, 0, NULL);
    ck_assert_ptr_nonnull(json);
    ck_assert_int_eq(mezz_count_at(json, "api_version"), 12);
    ck_assert_str_ne(text_at(json, "paging.kind"), "unknown");
    ck_assert_int_ne(engine_by_name(text_at(json, "views.engine")), ENGINE_KINDS);
    ck_assert(json_is_true(mezz_at(json, "capabilities.sync_regs")));
    json_decref(json);
    mezz_end(&mezz, 0);
}
END_TEST

/* A program that does what the processor or KVM does not is ended alone. */
START_TEST(an_instruction_that_is_none)
{
    struct mezz_process mezz;

    mezz_begin(&mezz);
    mezz_run_text(&mezz, "local s = mezz.stack { memory = '64M' }\n"
                         "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M' }\n"
                         "l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"
                         "    programs = { 'fault.elf sysenter', 'hello.elf' } }\n"
                         "s:run { timeout = '60s' }\n");
    mezz_expect(&mezz, 0, "");
    ck_has(mezz.out, "tiny-os: all programs ended (1 exited, 1 faulted");
    mezz_end(&mezz, 1);
}
END_TEST

/* Bytes that are no text, without an end: shown as \xNN and not for ever; JSON stays JSON. */
START_TEST(wild_output)
{
    static const char *const argv[] = {"run", "t.lua", "--json", "out.json", NULL};
    static const char text[] =
        "local s = mezz.stack {}\n"
        "local l1 = s:l1 { image = 'nested_l1.elf', memory = '16M' }\n"
        "l1:l2 { name = 'bad', image = 'l2_endless_output.elf', memory = '4M' }\n"
        "s:run { timeout = '2s', may_die = true }\n";
    struct mezz_process mezz;
    json_t *json;

    mezz_begin(&mezz);
    mezz_write(&mezz, "t.lua", text, sizeof(text) - 1);
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 0, "");
    ck_has(mezz.out, "L2 bad | \\x1b[2J\\xff\\xfe wild\n");
    ck_assert_ptr_null(strchr(mezz.out, '\033'));
    json = mezz_json(&mezz);
    ck_assert_str_eq(text_at(json, "status"), "timeout");
    ck_has(text_at(json, "levels.l2.bad.console"), "\033[2J\xef\xbf\xbd\xef\xbf\xbd wild\n");
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "stacks", 120, ONCE(hello), ONCE(reflect), ONCE(two_guests),
             ONCE(views), EACH(bad_command_line, ELEMENTS(bad_lines)), EACH(both_starts, 2),
             ONCE(failed_expectation), ONCE(json_to_stdout),
             EACH(output_that_fails, ELEMENTS(outputs)), ONCE(json_is_replaced), ONCE(interrupt),
             ONCE(trace), ONCE(info), ONCE(wild_output), ONCE(an_instruction_that_is_none))
