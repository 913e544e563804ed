/* SPDX-License-Identifier: Apache-2.0 */
/* Who reads what mezz shows: slowly, not at all, or not any more. None of it holds a run up. */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mezz_process.h"
#include "runner.h"

#define L2(image)                                                            \
    "local s = mezz.stack {}\nlocal l1 = s:l1 { image = 'nested_l1.elf' }\n" \
    "l1:l2 { name = 'a', image = '" image "', memory = '4M' }\n"
#define PIPE_SMALLEST 4096

static const char *path_of(const struct mezz_process *mezz, const char *name)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", mezz->directory, name);
    return path;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A pipe that takes a page and that nobody reads. */
static int make_stuck_reader(struct mezz_process *mezz)
{
    int fd;

    ck_assert_int_eq(mkfifo(path_of(mezz, "stuck"), 0600), 0);
    fd = open(path_of(mezz, "stuck"), O_RDWR);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_ge(fcntl(fd, F_SETPIPE_SZ, PIPE_SMALLEST), 0);
    mezz->out_to = "stuck";
    return fd;
}

START_TEST(not_waited_for_beyond_the_time)
{
    struct mezz_process mezz;
    double begun = seconds();
    int reader;

    mezz_begin(&mezz);
    reader = make_stuck_reader(&mezz);
    mezz_run_text(&mezz, L2("l2_endless_output.elf") "s:run { timeout = '1s', may_die = true }\n");
    mezz_expect(&mezz, 3, "mezz: cannot write to the standard output: Connection timed out\n");
    ck_assert(seconds() - begun < 30);
    close(reader);
    mezz_end(&mezz, 2);
}
END_TEST

START_TEST(a_signal_does_not_wait_for_it)
{
    struct mezz_process mezz;
    double begun = seconds();
    int reader;

    mezz_begin(&mezz);
    reader = make_stuck_reader(&mezz);
    mezz.interrupt_after_ms = 1000;
    mezz_run_text(&mezz, L2("l2_endless_output.elf") "s:run { timeout = '60s' }\n");
    mezz_expect(&mezz, 128 + SIGINT, "mezz: t.lua:4: interrupted: ended by SIGINT\n");
    ck_assert(seconds() - begun < 40);
    close(reader);
    mezz_end(&mezz, 2);
}
END_TEST

START_TEST(one_that_goes_ends_the_run)
{
    struct mezz_process mezz;
    double begun = seconds();

    mezz_begin(&mezz);
    mezz.out_to = "|";
    mezz_run_text(&mezz,
                  L2("l2_endless_output.elf") "s:run { timeout = '60s' }\nwhile true do end\n");
    mezz_expect(&mezz, 3, "mezz: cannot write to the standard output: Broken pipe\n");
    ck_assert(seconds() - begun < 40);
    mezz_end(&mezz, 1);
}
END_TEST

START_TEST(a_trace_without_reader)
{
    static const char *const argv[] = {"run", "t.lua", "--trace", "fifo", NULL};
    struct mezz_process mezz;

    mezz_begin(&mezz);
    ck_assert_int_eq(mkfifo(path_of(&mezz, "fifo"), 0600), 0);
    mezz_write(&mezz, "t.lua", "", 0);
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 2, "mezz: --trace: fifo: cannot write: No such device or address\n");
    mezz_end(&mezz, 2);
}
END_TEST

START_TEST(a_trace_to_stdout)
{
    static const char *const argv[] = {"run", "t.lua", "--trace", "-", NULL};
    static const char *const both[] = {"run", "t.lua", "--trace", "-", "--json", "-", NULL};
    static const char text[] = L2("l2_triple_fault.elf") "s:run { may_die = true }\n";
    struct mezz_process mezz;

    mezz_begin(&mezz);
    mezz_write(&mezz, "t.lua", text, sizeof(text) - 1);
    mezz_run(&mezz, argv);
    ck_assert_int_eq(mezz.status, 0);
    ck_assert_msg(strncmp(mezz.out, "{\"t\": ", 6) == 0 && strstr(mezz.out, "triple_fault") != NULL,
                  "%s", mezz.out);
    ck_assert_ptr_nonnull(strstr(mezz.err, "level and exit reason"));
    mezz_run(&mezz, both);
    mezz_expect(&mezz, 2, "mezz: --json and --trace cannot both be the standard output\n");
    mezz_end(&mezz, 1);
}
END_TEST

START_TEST(the_json_has_the_status)
{
    static const char *const argv[] = {"run", "t.lua", "--json", "out.json", NULL};
    struct mezz_process mezz;
    json_t *json;

    mezz_begin(&mezz);
    mezz.out_to = "/dev/full";
    mezz_write(&mezz, "t.lua", "print 'text'\n", 13);
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 3, "mezz: cannot write to the standard output: No space left on device\n");
    json = mezz_json(&mezz);
    ck_assert_int_eq(json_integer_value(mezz_at(json, "exit_status")), 3);
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

/* Ctrl-Z and fg, in the middle of a wait for the reader: the kernel goes on with it by another
 * call. */
static void stop_for_a_moment(const struct mezz_process *mezz, pid_t child)
{
    const int *reader = mezz->context;
    int filled = 0;

    for (int i = 0; i < 3000 && filled == 0; i++) {
        ck_assert_int_eq(ioctl(*reader, FIONREAD, &filled), 0);
        usleep(10000);
    }
    ck_assert_int_gt(filled, 0); /* one write takes the page, and the next one waits */
    usleep(300000);
    ck_assert_int_eq(kill(-child, SIGSTOP), 0);
    usleep(100000);
    ck_assert_int_eq(kill(-child, SIGCONT), 0);
}

START_TEST(stopped_while_it_waits)
{
    struct mezz_process mezz;
    int reader;

    mezz_begin(&mezz);
    reader = make_stuck_reader(&mezz);
    mezz.during = stop_for_a_moment;
    mezz.context = &reader;
    mezz_run_text(&mezz, L2("l2_endless_output.elf") "s:run { timeout = '4s', may_die = true }\n");
    mezz_expect(&mezz, 3, "mezz: cannot write to the standard output: Connection timed out\n");
    close(reader);
    mezz_end(&mezz, 2);
}
END_TEST

/* nohup, and what shells do to a job in the background. */
START_TEST(ignored_signals_stay_so)
{
    struct mezz_process mezz;

    mezz_begin(&mezz);
    mezz.ignores_interrupt = true;
    mezz.interrupt_after_ms = 300;
    mezz_run_text(&mezz, "local s = mezz.stack {}\ns:l1 { image = 'l1_loop.elf', memory = '4M' }\n"
                         "s:run { timeout = '1500ms' }\n");
    mezz_expect(&mezz, 4, "mezz: t.lua:3: the run's time of 1500 ms is over\n");
    mezz_end(&mezz, 1);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "readers", 120, ONCE(not_waited_for_beyond_the_time),
             ONCE(stopped_while_it_waits), ONCE(a_signal_does_not_wait_for_it),
             ONCE(one_that_goes_ends_the_run), ONCE(a_trace_without_reader),
             ONCE(a_trace_to_stdout), ONCE(the_json_has_the_status), ONCE(ignored_signals_stay_so))
