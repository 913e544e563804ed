/* SPDX-License-Identifier: Apache-2.0 */
/* `mezz log verify`: its exit status and its one line. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hookguard/log/event_log.h"
#include "runner.h"
#include "vmm/cli/cli.h"

static const struct cli_command command = {"log", "verify FILE [--head HASH]", "", cli_log};
static char text[8192]; /* of the log */
static size_t size;
static char head[LOG_HASH_DIGITS + 1];
static char said[1024]; /* on both outputs */

static void make(bool closed)
{
    const struct event_log_config config = {"test.log", "unit_log_cli", 0};
    const struct log_event event = {.level = 2, .reason = "entry"};
    int fd = memfd_create("log", 0);
    struct event_log *log;
    struct error error;
    ssize_t length;

    ck_assert_int_eq(event_log_start(&log, dup(fd), &config, &error), 0);
    ck_assert_int_eq(event_log_append(log, &event), 0);
    ck_assert_int_eq(event_log_flush(log), 0);
    length = pread(fd, text, sizeof(text), 0);
    ck_assert_int_eq(event_log_close(log, 1, head, &error), 0);
    if (closed)
        length = pread(fd, text, sizeof(text), 0);
    ck_assert_int_gt(length, 0);
    size = (size_t)length;
    close(fd);
}

static int call(int argc, char **argv)
{
    int output = memfd_create("output", 0);
    int status;
    ssize_t length;

    fflush(stdout);
    fflush(stderr);
    ck_assert_int_ge(dup2(output, STDOUT_FILENO), 0);
    ck_assert_int_ge(dup2(output, STDERR_FILENO), 0);
    status = cli_log(argc, argv, &command);
    fflush(stdout);
    fflush(stderr);
    length = pread(output, said, sizeof(said) - 1, 0);
    ck_assert_int_ge(length, 0);
    said[length] = '\0';
    close(output);
    return status;
}

/* The status of verifying what is in `text`. */
static int verify(const char *due)
{
    char path[32];
    char word[] = "log";
    char verb[] = "verify";
    char option[] = "--head";
    char *argv[] = {word, verb, path, option, (char *)(uintptr_t)due, NULL};
    int fd = memfd_create("log", 0);

    ck_assert_int_eq(write(fd, text, size), (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return call(due != NULL ? 5 : 3, argv);
}

static void expect_said(const char *what)
{
    ck_assert_msg(strstr(said, what) != NULL, "no \"%s\" in: %s", what, said);
    ck_assert_msg(strchr(said, '\n') == said + strlen(said) - 1, "not one line: %s", said);
}

START_TEST(verdicts)
{
    make(true);
    ck_assert_int_eq(verify(NULL), CLI_DONE);
    expect_said("whole: 3 records");
    ck_assert_int_eq(verify(head), CLI_DONE);
    head[3] = head[3] == '0' ? '1' : '0';
    ck_assert_int_eq(verify(head), CLI_EXPECTATION);
    expect_said("another log");
    strstr(text, "entry")[0] = 'E';
    ck_assert_int_eq(verify(NULL), CLI_EXPECTATION);
    expect_said("record 1 was edited");
    make(false);
    ck_assert_int_eq(verify(NULL), CLI_EXPECTATION);
    expect_said("not closed");
    size--;
    ck_assert_int_eq(verify(NULL), CLI_EXPECTATION);
    expect_said("record 1 is cut off");
    size = 0;
    ck_assert_int_eq(verify(NULL), CLI_BAD_INPUT);
    expect_said("is not a log of mezz");
}
END_TEST

START_TEST(bad_usage)
{
    static const struct {
        const char *words[5];
        const char *said;
    } calls[] = {{{"log"}, "usage: mezz log verify"},
                 {{"log", "verify"}, "usage: mezz log verify"},
                 {{"log", "check", "x"}, "usage: mezz log verify"},
                 {{"log", "verify", "/nowhere/log"}, "/nowhere/log: No such file"},
                 {{"log", "verify", "/dev/null"}, "/dev/null: is not a regular file"},
                 {{"log", "verify", "/"}, "/: is not a regular file"},
                 {{"log", "verify", "x", "--head=12"}, "is not a hash"},
                 {{"log", "verify", "x", "--tail"}, "unknown option"}};
    char *argv[6] = {NULL};
    int argc = 0;

    for (; argc < 5 && calls[_i].words[argc] != NULL; argc++)
        argv[argc] = strdup(calls[_i].words[argc]);
    ck_assert_int_eq(call(argc, argv), CLI_BAD_INPUT);
    expect_said(calls[_i].said);
    while (argc > 0)
        free(argv[--argc]);
}
END_TEST

RUN_CASES("log_cli", 30, ONCE(verdicts), EACH(bad_usage, 8))
