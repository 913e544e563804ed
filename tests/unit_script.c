/* SPDX-License-Identifier: Apache-2.0 */
/* Stack files without machines: what one can say, and what its cage holds. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner.h"
#include "script_stub.h"
#include "vmm/stack/script_units.h"

/* Each is a way out of the cage, or to something that the count hook would not see. */
static const char *const escapes[] = {
    "io.open('x')",          "os.execute('x')",
    "debug.getregistry()",   "package.loadlib('x', 'y')",
    "require 'io'",          "dofile 'x'",
    "loadfile 'x'",          "load 'return 1'",
    "collectgarbage 'stop'", "coroutine.wrap(print)",
    "xpcall(print, print)",  "setmetatable({}, { __gc = print })",
    "string.dump(print)",    "getmetatable(mezz.stack {}).__index()",
    "setmetatable(_G, {})",  "setmetatable(mezz, {})",
};

START_TEST(escape)
{
    struct stub stub = {.report = {.last_words = ""}};
    struct error error;

    ck_assert_int_eq(run_text(&stub, NULL, escapes[_i], &error), -EINVAL);
    ck_assert_int_eq(strncmp(error.text, FILE_NAME ":1: ", 9), 0);
}
END_TEST

START_TEST(bytecode)
{
    struct stub stub = {.report = {.last_words = ""}};
    struct script *script;
    struct error error;

    ck_assert_int_eq(run_bytes(&script, &stub, NULL, "\x1bLua\x54\0", 6, &error), -EINVAL);
    ck_assert_ptr_nonnull(strstr(error.text, "t.lua:1: is compiled Lua"));
    script_destroy(script);
}
END_TEST

static const struct script_limits tight = {
    .memory = 2UL << 20,
    .instructions = 1000000,
    .time_ns = 300000000,
    .library_ns = 300000000,
    .output = 100,
    .runs = 2,
    .expectations = 3,
};

static const struct {
    const char *text;
    const char *message;
} budgets[] = {
    {"while true do end", "t.lua:1: used more than 1000000 instructions at a stretch"},
    {"\nlocal f f = function() while true do end end\nwhile true do pcall(f) end",
     "t.lua:2: used more than 1000000 instructions at a stretch"},
    {"pcall(function() while true do pcall(function() while true do end end) end end)",
     "t.lua:1: used more than 1000000 instructions at a stretch"},
    {"local s = 'x'\nwhile true do s = s .. s end", "t.lua:2: used more than 2048 KiB of memory"},
    {"\n\nlocal s = ('x'):rep(1 << 30)", "t.lua:3: used more than 2048 KiB of memory"},
    {"local t = {} for i = 1, 1e6 do t[i] = { i } end",
     "t.lua:1: used more than 2048 KiB of memory"},
    {"local s = ('x'):rep(1e6) for i = 1, 1e6 do s:find('y') end",
     "t.lua:1: used more than 300 ms at a stretch"},
    {"for i = 1, 100 do print 'hello' end", "t.lua:1: print: more than 100 bytes in one run"},
    {"for i = 1, 9 do mezz.expect(true, 'x') end",
     "t.lua:1: mezz.expect: more than 3 expectations"},
    {"for i = 1, 9 do local s = mezz.stack {} s:l1 { image = 'l1.elf' } s:run() end",
     "t.lua:1: stack:run: more than 2 runs in one file"},
    {"local function f() return 1 + f() end f()", "t.lua:1: used more than 2048 KiB of memory"},
};

START_TEST(budget)
{
    struct stub stub = {.report = {.last_words = ""}};
    struct error error;

    ck_assert_int_eq(run_text(&stub, &tight, budgets[_i].text, &error), -EINVAL);
    ck_assert_str_eq(error.text, budgets[_i].message);
}
END_TEST

/* A file with many runs has as much for each of them. */
START_TEST(each_stretch_counts_anew)
{
#define BURN "local function burn() for i = 1, 300000 do local x = i * i end end "
    struct stub stub = {.report = {.last_words = ""}};
    struct error error;

    ck_assert_int_eq(run_text(&stub, &tight, BURN "burn() burn()", &error), -EINVAL);
    ck_assert_str_eq(error.text, "t.lua:1: used more than 1000000 instructions at a stretch");
    ck_assert_int_eq(run_text(&stub, &tight,
                              BURN "burn() local s = mezz.stack {} s:l1 { image = 'l1.elf' } "
                                   "s:run() burn()",
                              &error),
                     0);
}
END_TEST

/* Loops inside a library function, where no hook runs. */
static const char *const endless[] = {
    "local x = (''):rep(1 << 60)",
    "local x = ('a'):rep(30000):find(('.-'):rep(20) .. 'b')",
    "table.move({}, 1, 1 << 60, 2)",
};

START_TEST(endless_library_call)
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct stub stub = {.report = {.last_words = ""}};
        struct error error;

        run_text(&stub, &tight, endless[_i], &error);
        _exit(99);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 2);
}
END_TEST

/* An interrupt does not wait for that limit; the status is the signal's. */
START_TEST(interrupted_library_call)
{
    static const struct {
        int signal;
        int status;
    } ends[] = {{SIGINT, 128 + SIGINT}, {SIGTERM, 128 + SIGTERM}, {SIGPIPE, 3}};
    static volatile sig_atomic_t flag;
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct stub stub = {.report = {.last_words = ""}};
        const struct script_host host = stub_host(&stub);
        const struct script_config config = {
            .path = FILE_NAME, .host = &host, .interrupted = &flag};
        struct script *script;
        struct error error;

        flag = ends[_i].signal;
        write_file(endless[0], strlen(endless[0]));
        alarm(8); /* the limit is 15 s */
        if (script_create(&script, &config, &error) == 0)
            script_execute(script, &error);
        _exit(99);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
    ck_assert_int_eq(WEXITSTATUS(status), ends[_i].status);
}
END_TEST

START_TEST(interrupted)
{
    static volatile sig_atomic_t flag = 1;
    struct stub stub = {.report = {.last_words = ""}};
    const struct script_host host = stub_host(&stub);
    const struct script_config config = {.path = FILE_NAME, .host = &host, .interrupted = &flag};
    struct script *script;
    struct error error;

    write_file("pcall(function() while true do end end) while true do end", 57);
    ck_assert_int_eq(script_create(&script, &config, &error), 0);
    ck_assert_int_eq(script_execute(script, &error), -EINTR);
    ck_assert_str_eq(error.text, "t.lua:1: interrupted");
    script_destroy(script);
}
END_TEST

static const char whole_stack[] =
    "local stack = mezz.stack { memory = '64M' }\n"
    "local l1 = stack:l1 { image = mezz.image 'l1.elf', memory = '48M', cmdline = 'a b' }\n"
    "local tiny = l1:l2 { name = 'tiny', image = 'os.elf', memory = '16M', cmdline = 'c',\n"
    "    programs = { 'hello.elf', 'hello.elf x y', { image = 'hello.elf', args = 'z' } } }\n"
    "local result = stack:run { timeout = '500ms', callback_timeout = '2s', may_die = true }\n"
    "mezz.expect(result.status == 'done', 'status')\n"
    "mezz.expect(tiny.console:find 'hello' == 3, 'find')\n"
    "mezz.expect(not tiny.console:find 'none', 'find nothing')\n"
    "mezz.expect(tiny.console:count 'l' == 2, 'count')\n"
    "mezz.expect(tiny.console:match 'he(l+)o' == 'll', 'match')\n"
    "local lines = {} for line in tiny.console:lines() do lines[#lines + 1] = line end\n"
    "mezz.expect(#lines == 2 and lines[1] == 'a' and lines[2] == 'hello', 'lines')\n"
    "mezz.expect(#tiny.console == 9 and tostring(tiny.console) == 'a\\nhello\\r\\n', 'all')\n"
    "mezz.expect(result.l2.tiny.exits.io.callback == 5, 'counts')\n"
    "mezz.expect(tiny.exits.total.total == 12 and tiny.exits.hlt.root == 0, 'counts')\n"
    "mezz.expect(result.l1 and l1.console and result.duration_ms == 2.5, 'times')\n"
    "mezz.expect(result.first_l2_output_ms == false, 'no output')\n"
    "mezz.expect(result.l2.tiny.status == 'died', 'l2 status')\n"
    "mezz.expect(nil, 'this one fails')\n"
    "print('value', mezz.expect(7, 'value'))\n";

START_TEST(whole)
{
    struct l2_report l2 = {
        .name = "tiny", .end = L2_DIED, .last_words = "", .console = {"a\nhello\r\n", 9, 0}};
    struct stub stub = {
        .report = {.duration_ns = 2500000, .last_words = "", .l2 = &l2, .l2_count = 1}};
    const struct script_record *record;
    struct script *script;
    struct error error;
    int code;

    l2.exits[MEZZ_EXIT_IO] = (struct exit_counts){3, 5, 4};
    code = run_bytes(&script, &stub, NULL, whole_stack, strlen(whole_stack), &error);
    ck_assert_msg(code == 0, "%s", error.text);
    record = script_record(script);
    for (size_t i = 0; i < record->expectation_count; i++)
        ck_assert_msg(record->expectations[i].passed == (record->expectations[i].line != 19),
                      "line %u: %s", record->expectations[i].line, record->expectations[i].text);
    ck_assert_uint_eq(record->failed, 1);
    ck_assert_uint_eq(stub.failed_line, 19);
    ck_assert_str_eq(stub.printed, "value\t7\n");
    ck_assert_int_eq(stub.calls, 1);
    ck_assert_uint_eq(record->run_count, 1);
    ck_assert_uint_eq(record->runs[0].line, 5);
    ck_assert(record->runs[0].may_die);
    ck_assert_str_eq(stub.programs, "tiny=hello.elf;tiny=hello.elf x y;tiny=hello.elf z;");
    ck_assert_uint_eq(stub.config.memory, 64UL << 20);
    ck_assert_uint_eq(stub.config.l1_memory, 48UL << 20);
    ck_assert_uint_eq(stub.config.timeout_ns, 500000000);
    ck_assert_uint_eq(stub.config.callback_timeout_ns, 2000000000);
    ck_assert_uint_eq(stub.config.l2_count, 1);
    script_destroy(script);
}
END_TEST

START_TEST(firmware_is_an_option)
{
    struct stub stub = {.report = {.last_words = ""}};
    struct error error;

    ck_assert_int_eq(run_text(&stub, NULL,
                              "local s = mezz.stack {} s:l1 { image = 'l1.elf', firmware = false } "
                              "s:run()",
                              &error),
                     0);
    ck_assert_ptr_null(stub.config.firmware);
    ck_assert_int_eq(
        run_text(&stub, NULL, "local s = mezz.stack {} s:l1 { image = 'l1.elf' } s:run()", &error),
        0);
    ck_assert_ptr_nonnull(stub.config.firmware);
}
END_TEST

/* The code of a machine that cannot be made comes through, unless the file caught the error and has
 * one of its own. */
START_TEST(host_refuses)
{
    struct stub stub = {.code = ENODEV};
    struct error error;

    ck_assert_int_eq(run_text(&stub, NULL,
                              "local s = mezz.stack {}\ns:l1 { image = 'l1.elf' }\ns:run()",
                              &error),
                     -ENODEV);
    ck_assert_str_eq(error.text, "t.lua:3: the stub refuses");
    ck_assert_int_eq(run_text(&stub, NULL,
                              "local s = mezz.stack {} s:l1 { image = 'l1.elf' }\n"
                              "pcall(s.run, s) error('mine')",
                              &error),
                     -EINVAL);
}
END_TEST

/* Or a file would go on for ever by them. */
START_TEST(runs_that_fail_count)
{
    struct stub stub = {.code = ENODEV};
    struct error error;

    ck_assert_int_eq(run_text(&stub, &tight,
                              "for i = 1, 9 do local s = mezz.stack {} s:l1 { image = 'l1.elf' }\n"
                              "pcall(s.run, s) end",
                              &error),
                     0);
    ck_assert_int_eq(stub.calls, 2);
}
END_TEST

START_TEST(host_fails_meanwhile)
{
    struct stub stub = {.report = {.end = MACHINE_HOST, .last_words = "", .error = {"broken"}}};
    struct error error;

    ck_assert_int_eq(run_text(&stub, NULL,
                              "local s = mezz.stack {} s:l1 { image = 'l1.elf' }\n"
                              "pcall(s.run, s)\nlocal x = 1",
                              &error),
                     -ENODEV);
    ck_assert_str_eq(error.text, "t.lua:2: broken");
}
END_TEST

START_TEST(files)
{
    struct script_config config = {.path = "none.lua"};
    struct script *script;
    struct error error;

    ck_assert_int_eq(script_create(&script, &config, &error), 0);
    ck_assert_int_eq(script_execute(script, &error), -ENOENT);
    ck_assert_str_eq(error.text, "none.lua: No such file or directory");
    script_destroy(script);
    config.path = "images";
    ck_assert_int_eq(script_create(&script, &config, &error), 0);
    ck_assert_int_lt(script_execute(script, &error), 0);
    script_destroy(script);
}
END_TEST

static const struct {
    const char *text;
    bool valid;
    uint64_t value;
} sizes[] = {
    {"64M", true, 64UL << 20},
    {"2G", true, 2UL << 30},
    {"512K", true, 512UL << 10},
    {"0M", true, 0},
    {"64", false, 0},
    {"64m", false, 0},
    {"64 M", false, 0},
    {" 64M", false, 0},
    {"64MB", false, 0},
    {"-1M", false, 0},
    {"+1M", false, 0},
    {"1.5G", false, 0},
    {"M", false, 0},
    {"", false, 0},
    {"0x10M", false, 0},
    {"17179869183G", true, 17179869183UL << 30},
    {"17179869184G", false, 0},
    {"18446744073709551616K", false, 0},
};

START_TEST(size)
{
    uint64_t value;

    ck_assert_int_eq(script_parse_size(sizes[_i].text, &value), sizes[_i].valid);
    if (sizes[_i].valid)
        ck_assert_uint_eq(value, sizes[_i].value);
}
END_TEST

START_TEST(duration)
{
    uint64_t value;

    ck_assert(script_parse_duration("10s", &value));
    ck_assert_uint_eq(value, 10000000000);
    ck_assert(script_parse_duration("500ms", &value));
    ck_assert_uint_eq(value, 500000000);
    ck_assert(!script_parse_duration("10", &value));
    ck_assert(!script_parse_duration("10m", &value));
    ck_assert(!script_parse_duration("10 s", &value));
    ck_assert(!script_parse_duration("99999999999999s", &value));
}
END_TEST

/* Lua names only the end of a long path; the message has all of it. */
START_TEST(long_path)
{
    char path[256] = ".";
    struct script_config config = {.path = path};
    struct script *script;
    struct error error;
    char expected[320];

    for (int i = 0; i < 60; i++)
        strcat(path, "/.");
    strcat(path, "/" FILE_NAME);
    write_file("local x = nil + 1", 17);
    ck_assert_int_eq(script_create(&script, &config, &error), 0);
    ck_assert_int_eq(script_execute(script, &error), -EINVAL);
    snprintf(expected, sizeof(expected), "%s:1: attempt to perform arithmetic on a nil value",
             path);
    ck_assert_str_eq(error.text, expected);
    script_destroy(script);
}
END_TEST

static int run_all(void)
{
    const struct runner_case cases[] = {
        EACH(escape, ELEMENTS(escapes)),
        ONCE(bytecode),
        EACH(budget, ELEMENTS(budgets)),
        ONCE(each_stretch_counts_anew),
        EACH(endless_library_call, ELEMENTS(endless)),
        EACH(interrupted_library_call, 3),
        ONCE(interrupted),
        ONCE(whole),
        ONCE(firmware_is_an_option),
        ONCE(host_refuses),
        ONCE(host_fails_meanwhile),
        ONCE(runs_that_fail_count),
        ONCE(files),
        EACH(size, ELEMENTS(sizes)),
        ONCE(duration),
        ONCE(long_path),
    };

    return run_cases("script", 30, cases, ELEMENTS(cases));
}

int main(void)
{
    int status;

    enter_directory();
    status = run_all();
    leave_directory();
    return status;
}
