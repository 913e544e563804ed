/* SPDX-License-Identifier: Apache-2.0 */
/* The cage of a real run, tried from inside of the process that runs the machine. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cage/cage.h"
#include "cage_doors.h"
#include "cage_program.h"
#include "cage_promise.h"
#include "runner.h"
#include "test_machine.h"
#include "vmm/cli/cli_caged.h"

#define A_MINUTE 60000000000ULL

static const struct cage_door *chosen;
static void (*misdeed)(void);

/* What a guest that has taken over the root would do: it runs in the thread that runs guests, while
 * one of them writes to its console. */
static void break_out(void *context, unsigned int source, const char *name, const char *text,
                      size_t length)
{
    (void)context;
    (void)source;
    (void)name;
    (void)text;
    (void)length;
    if (chosen != NULL)
        cage_door_open(chosen);
    if (misdeed != NULL)
        misdeed();
}

static int run_in_cage(struct caged_run *run, uint64_t timeout_ns, struct machine_report *report,
                       struct error *error)
{
    static struct terminal terminal;
    static struct machine_config config;

    if (terminal.out == NULL)
        ck_assert_int_eq(terminal_init(&terminal, STDOUT_FILENO, false, false), 0);
    config = (struct machine_config){
        .l1_image = test_image("nested_l1.elf"),
        .l1_memory = 8UL << 20,
        .timeout_ns = timeout_ns,
        .console = break_out,
    };
    *run = (struct caged_run){.config = &config, .terminal = &terminal, .spare_ms = 1000};
    return caged_run(run, report, error);
}

/* The filters of a run's own threads are the ones that were promised. */
static void check_programs(void)
{
    bool seen[CAGE_THREADS] = {false};

    for (unsigned int i = 0; i < CAGE_THREADS; i++) {
        const struct cage_program *program = cage_program(i);
        enum cage_thread kind;

        ck_assert_ptr_nonnull(program);
        ck_assert_int_eq(program->refused, 0);
        kind = cage_promise_kind(program);
        ck_assert(!seen[kind]);
        seen[kind] = true;
        cage_promise_check(program, kind, true);
    }
    ck_assert_ptr_null(cage_program(CAGE_THREADS));
}

START_TEST(a_run)
{
    struct machine_report report;
    struct caged_run run;
    struct error error;

    chosen = NULL;
    cage_programs_watch();
    ck_assert_msg(run_in_cage(&run, A_MINUTE, &report, &error) == 0, "%s", error.text);
    ck_assert_int_eq(report.end, MACHINE_DONE);
    ck_assert_uint_gt(report.l1.console.length, 0);
    ck_assert(report.cage.on && report.cage.no_new_privs && report.cage.no_capabilities);
    ck_assert_uint_eq(report.cage.filtered, 2);
    ck_assert_uint_eq(report.cage.landlock_abi, cage_offer().landlock_abi);
    ck_assert_int_eq(run.signal_number, 0);
    report_release(&report);
    check_programs();
}
END_TEST

START_TEST(door_in_a_run)
{
    struct machine_report report;
    struct caged_run run;
    struct error error;

    chosen = &cage_doors[_i];
    if (cage_runtime_call(chosen->number))
        return;
    ck_assert_int_eq(run_in_cage(&run, A_MINUTE, &report, &error), -ECHILD);
    ck_assert_int_eq(run.signal_number, SIGSYS);
    ck_assert_msg(strstr(error.text, "the root died of SIGSYS") == error.text &&
                      strstr(error.text, "its cage") != NULL,
                  "%s: %s", chosen->name, error.text);
}
END_TEST

/* Ways to end that the cage lets through, and that no report comes by. */
static void exit_well(void)
{
    _exit(0);
}

static void exit_badly(void)
{
    _exit(5);
}

static void look_at_environment(void)
{
    for (char **variable = environ; *variable != NULL; variable++)
        if ((*variable)[0] != '\0')
            _exit(7);
    _exit(6);
}

/* What the root itself ends with when the channel does not take its report. */
static void exit_mute(void)
{
    _exit(3);
}

/* One that the machine's own time does not end. */
static void stay(void)
{
    for (;;)
        ;
}

static void close_all_and_stay(void)
{
    for (int fd = STDERR_FILENO + 1; fd < 64; fd++)
        close(fd);
    stay();
}

START_TEST(no_report)
{
    static const struct {
        void (*misdeed)(void);
        uint64_t timeout_ns;
        int code;
        int signal_number;
        const char *told;
    } ways[] = {
        {exit_well, A_MINUTE, -ECHILD, SIGSYS, "the root ended with status 0 and without a report"},
        {exit_badly, A_MINUTE, -ECHILD, SIGSYS,
         "the root ended with status 5 and without a report"},
        {look_at_environment, A_MINUTE, -ECHILD, SIGSYS,
         "the root ended with status 6 and without a report"},
        {exit_mute, A_MINUTE, -ECOMM, 0, "the root could not send its report"},
        {close_all_and_stay, A_MINUTE, -ECHILD, SIGSYS,
         "the root closed its way to report, went on, and was killed"},
        {stay, 10000000000ULL, -ECHILD, SIGSYS,
         "the root went on for 1 s beyond its machine's time, and was killed"},
    };
    struct machine_report report;
    struct caged_run run;
    struct error error;

    chosen = NULL;
    misdeed = ways[_i].misdeed;
    ck_assert_int_eq(run_in_cage(&run, ways[_i].timeout_ns, &report, &error), ways[_i].code);
    ck_assert_int_eq(run.signal_number, ways[_i].signal_number);
    ck_assert(run.abandoned);
    ck_assert_str_eq(error.text, ways[_i].told);
}
END_TEST

RUN_CASES_IF(test_machine_obstacle, "cage_run", 120, ONCE(a_run),
             EACH(door_in_a_run, cage_door_count), EACH(no_report, 6))
