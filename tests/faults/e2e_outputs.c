/* SPDX-License-Identifier: Apache-2.0 */
/* Outputs that cannot be written, and too little memory or too few files: each is told, with the
 * right status. */
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mezz_process.h"
#include "runner.h"

#define FULL   "cannot write: No space left on device"
#define BROKEN "cannot write: Broken pipe"
#define STDOUT "mezz: cannot write to the standard output: "

static const char stack[] =
    "local s = mezz.stack { memory = '64M' }\n"
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M', cmdline = 'exits=callback' }\n"
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"
    "    programs = { 'hello.elf' } }\n"
    "s:run { timeout = '30s' }\n"
    "mezz.expect(tiny.console:find 'hello from ring 3', 'the guest ran')\n";

/* One that has much to log. */
static const char busy_stack[] =
    "local s = mezz.stack { memory = '64M' }\n"
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M', cmdline = 'exits=callback' }\n"
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"
    "    programs = { 'vault.elf' } }\n"
    "tiny:protect { program = 'vault.elf', portion = 'vault', sections = { '.vault', '.secret' },\n"
    "    entries = { 'vault_sign', 'vault_check' }, on_refusal = 'kill' }\n"
    "s:run { timeout = '30s' }\n"
    "mezz.expect(tiny.console:find '80 of 80 answers are right', 'the guest ran')\n";

static void begin(struct mezz_process *mezz)
{
    mezz_begin(mezz);
    mezz_write(mezz, "t.lua", stack, sizeof(stack) - 1);
}

static const struct {
    const char *argv[8];
    const char *out_to;
    const char *err;
} outputs[] = {
    {{"run", "t.lua"}, "/dev/full", STDOUT "No space left on device\n"},
    {{"run", "t.lua"}, "|", STDOUT "Broken pipe\n"},
    {{"run", "t.lua"}, "", STDOUT "Bad file descriptor\n"},
    {{"run", "t.lua", "--json", "-"}, "|", "mezz: the standard output: " BROKEN "\n"},
    {{"run", "t.lua", "--json", "/dev/full"}, NULL, "mezz: /dev/full: " FULL "\n"},
    {{"run", "t.lua", "--trace", "/dev/full"}, NULL, "mezz: /dev/full: " FULL "\n"},
    {{"run", "t.lua", "--log", "new.log"}, "/dev/full", STDOUT "No space left on device\n"},
    {{"run", "--help"}, "/dev/full", STDOUT "No space left on device\n"},
    {{"run", "--help"}, "|", STDOUT "Broken pipe\n"},
    {{"--help"}, "/dev/full", STDOUT "No space left on device\n"},
    {{"--version"}, "|", STDOUT "Broken pipe\n"},
    {{"info"}, "/dev/full", STDOUT "No space left on device\n"},
    {{"info"}, "|", STDOUT "Broken pipe\n"},
    {{"info", "--json"}, "/dev/full", "mezz: the standard output: " FULL "\n"},
    {{"info", "--json", "/dev/full"}, NULL, "mezz: /dev/full: " FULL "\n"},
    {{"log", "verify", "whole.log"}, "/dev/full", STDOUT "No space left on device\n"},
    {{"log", "verify", "whole.log"}, "|", STDOUT "Broken pipe\n"},
    {{"bench", "--quick", "--only", "io"}, "/dev/full", STDOUT "No space left on device\n"},
    {{"bench", "--quick", "--only", "io"}, "|", STDOUT "Broken pipe\n"},
};

/* Status 3, and stderr ends like this: the consoles may be there, too. */
static void expect_end(const struct mezz_process *mezz, const char *end)
{
    size_t length = strlen(mezz->err);

    ck_assert_msg(mezz->status == 3 && length >= strlen(end) &&
                      strcmp(mezz->err + length - strlen(end), end) == 0,
                  "status %d, expected 3 with %s; stderr:\n%s", mezz->status, end, mezz->err);
}

START_TEST(output)
{
    static const char *const log_words[] = {"run", "t.lua", "--log", "whole.log", NULL};
    struct mezz_process mezz;
    char *log;

    begin(&mezz);
    mezz_run(&mezz, log_words);
    mezz_expect(&mezz, 0, "");
    mezz.out_to = outputs[_i].out_to;
    mezz_run(&mezz, outputs[_i].argv);
    expect_end(&mezz, outputs[_i].err);
    log = mezz_read(&mezz, "new.log");
    mezz_end(&mezz, log != NULL ? 3 : 2);
    free(log);
}
END_TEST

/* A log is a file that stays: nothing else is taken for one. */
static const char *const no_logs[] = {"/dev/full", "/dev/null"};

START_TEST(no_log)
{
    const char *words[] = {"run", "t.lua", "--log", no_logs[_i], NULL};
    struct mezz_process mezz;
    char err[128];

    begin(&mezz);
    snprintf(err, sizeof(err), "mezz: --log: %s: is not a regular file\n", no_logs[_i]);
    mezz_run(&mezz, words);
    mezz_expect(&mezz, 2, err);
    mezz_end(&mezz, 1);
}
END_TEST

START_TEST(a_pipe_that_nobody_reads)
{
    static const char text[] = "mezz.expect(true, 'nothing')\n";
    static const char *const words[] = {"run", "t.lua", "--json", "pipe", NULL};
    struct mezz_process mezz;
    char path[PATH_MAX];

    mezz_begin(&mezz);
    mezz_write(&mezz, "t.lua", text, sizeof(text) - 1);
    snprintf(path, sizeof(path), "%s/pipe", mezz.directory);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    mezz_run(&mezz, words);
    mezz_expect(&mezz, 3, "mezz: pipe: cannot write: No such device or address\n");
    unlink(path);
    mezz_end(&mezz, 1);
}
END_TEST

/* Without a standard error its lines go nowhere, and not into the file that got its number. */
START_TEST(no_stderr)
{
    static const char text[] = "mezz.expect(false, 'nothing')\n";
    static const char *const words[] = {"run",    "t.lua",    "--trace", "trace.json",
                                        "--json", "out.json", NULL};
    struct mezz_process mezz;
    json_t *json;
    char *trace;

    mezz_begin(&mezz);
    mezz_write(&mezz, "t.lua", text, sizeof(text) - 1);
    mezz.err_closed = true;
    mezz_run(&mezz, words);
    mezz_expect(&mezz, 1, "");
    trace = mezz_read(&mezz, "trace.json");
    ck_assert_str_eq(trace, "");
    json = mezz_json(&mezz);
    ck_assert_int_eq(json_integer_value(mezz_at(json, "exit_status")), 1);
    json_decref(json);
    free(trace);
    mezz_end(&mezz, 3);
}
END_TEST

static const struct {
    const char *option;
    const char *path;
    bool filled; /* the one page that there is is another file's */
    int status;
    const char *end; /* of stderr */
    bool busy;
} disks[] = {
    {"--json", "full/out.json", true, 3, "mezz: full/out.json: " FULL "\n", false},
    {"--trace", "full/trace.json", false, 3, "mezz: full/trace.json: " FULL "\n", false},
    {"--trace", "full/trace.json", true, 3, "mezz: full/trace.json: " FULL "\n", false},
    {"--log", "full/run.log", false, 0, "", false},
    {"--log", "full/run.log", true, 2, "mezz: --log: full/run.log: " FULL "\n", false},
    /* The run goes on without its log, and how much is not there is told. */
    {"--log", "full/run.log", false, 3, " events are not in the log\n", true},
};

/* A disk of one page. Each case is a process of its own, and so are its mounts. */
static bool mount_disk(const char *path)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mkdir(path, 0700) == 0 && mount("none", path, "tmpfs", 0, "size=4k,mode=0700") == 0;
}

START_TEST(disk)
{
    const char *words[] = {"run", "t.lua", disks[_i].option, disks[_i].path, NULL};
    struct mezz_process mezz;
    char path[128];

    if (geteuid() != 0)
        return; /* nobody else may mount */
    begin(&mezz);
    snprintf(path, sizeof(path), "%s/full", mezz.directory);
    if (!mount_disk(path)) {
        printf("outputs: cannot mount a small disk here\n");
        rmdir(path);
        mezz_end(&mezz, 1);
        return;
    }
    if (disks[_i].filled)
        mezz_write(&mezz, "full/filler", "x", 1);
    if (disks[_i].busy)
        mezz_write(&mezz, "t.lua", busy_stack, sizeof(busy_stack) - 1);
    mezz_run(&mezz, words);
    if (disks[_i].busy) {
        expect_end(&mezz, disks[_i].end);
        ck_assert_int_eq(strncmp(mezz.err, "mezz: --log: full/run.log: " FULL, 52), 0);
        ck_assert_ptr_nonnull(strstr(mezz.out, "80 of 80 answers are right"));
    } else {
        mezz_expect(&mezz, disks[_i].status, disks[_i].end);
    }
    snprintf(path, sizeof(path), "%s/full/out.json", mezz.directory);
    ck_assert_int_ne(access(path, F_OK), 0);
    snprintf(path, sizeof(path), "%s/full", mezz.directory);
    ck_assert_int_eq(umount(path), 0);
    ck_assert_int_eq(rmdir(path), 0);
    mezz_end(&mezz, 1);
}
END_TEST

/* What the program could not even be loaded for is the loader's to tell. */
static bool loader_failed(const struct mezz_process *mezz)
{
    return mezz->status == 127 && strstr(mezz->err, "shared libraries") != NULL;
}

/* Runs with the limit. What comes out is a run as any other, or a line that tells what is missing,
 * from mezz or from L1's end. Returns whether it was a run. */
static bool run_within(int resource, rlim_t limit)
{
    static const char *const words[] = {"run", "t.lua", "--json", "out.json", NULL};
    struct mezz_process mezz;
    bool fine;

    begin(&mezz);
    mezz.resource = resource;
    mezz.limit = (struct rlimit){limit, limit};
    mezz_run(&mezz, words);
    fine = mezz.status == 0;
    if (fine)
        mezz_expect(&mezz, 0, "");
    else if (!loader_failed(&mezz))
        ck_assert_msg((mezz.status == 3 || mezz.status == 4) && mezz_lines(mezz.err) >= 1 &&
                          strncmp(mezz.err, "mezz: ", 6) == 0,
                      "limit %lu of resource %d: status %d, stderr:\n%s", (unsigned long)limit,
                      resource, mezz.status, mezz.err);
    mezz_end(&mezz, -1);
    return fine;
}

/* A sanitizer needs more address space than there is memory. */
#ifdef __SANITIZE_ADDRESS__
#define LITTLE_MEMORY 0
#else
#define LITTLE_MEMORY 1
#endif
#define LITTLE_MEMORY_STEPS 60

START_TEST(little_memory)
{
    int fine = 0;

    for (rlim_t i = 0; i < LITTLE_MEMORY_STEPS; i++)
        fine += run_within(RLIMIT_AS, (4 + 4 * i) << 20);
    ck_assert_int_lt(fine, LITTLE_MEMORY_STEPS);
    ck_assert_int_gt(fine, 0);
}
END_TEST

START_TEST(few_files)
{
    int fine = 0;

    for (rlim_t i = 3; i < 40; i++)
        fine += run_within(RLIMIT_NOFILE, i);
    ck_assert_int_lt(fine, 37);
    ck_assert_int_gt(fine, 0);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "outputs", 120, EACH(output, ELEMENTS(outputs)),
             EACH(no_log, ELEMENTS(no_logs)), ONCE(a_pipe_that_nobody_reads), ONCE(no_stderr),
             EACH(disk, ELEMENTS(disks)), EACH(little_memory, LITTLE_MEMORY), ONCE(few_files))
