/* SPDX-License-Identifier: Apache-2.0 */
/* Signals at any moment: mezz ends at once and well, or goes on as if nothing had been. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hookguard/log/event_log.h"
#include "mezz_process.h"
#include "runner.h"

#define DEFAULT_SEED 20261124UL
#define END_LIMIT_NS 5000000000ULL /* from the signal to the end, and two runs' time */
#define ENDS         20            /* runs that a signal met while it was caught, of each signal */
#define KILLS        200
#define STOPS        40
#define MOST_ROUNDS  4U /* times as many as that at most: some signals come before, or behind */
#define MEASURED     10 /* rounds between two looks at how long a run takes */

static const char stack[] =
    "local s = mezz.stack { memory = '96M' }\n"
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '64M', cmdline = 'slice=1000' }\n"
    "for _, name in ipairs { 'left', 'right' } do\n"
    "    l1:l2 { name = name, image = 'tiny-os.elf', memory = '16M', programs = { 'hello.elf' } }\n"
    "end\n"
    "s:run { timeout = '60s' }\n"
    "mezz.expect(l1.console:find 'root hypervisor', 'L1 came up')\n";

/* When to do what, and what came of it. */
struct disturbance {
    int number; /* of the signal */
    unsigned int after_us;
    unsigned int stopped_us; /* SIGSTOP: until SIGCONT */
    bool group;              /* SIGSTOP: for both processes, as a terminal does */
    uint64_t at_ns;          /* when it was sent */
    bool stopped;            /* SIGSTOP: the process was, in time */
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static void disturb(const struct mezz_process *mezz, pid_t child)
{
    struct disturbance *disturbance = mezz->context;

    siginfo_t info = {.si_pid = 0};

    usleep(disturbance->after_us);
    disturbance->at_ns = now_ns();
    kill(disturbance->group ? -child : child, disturbance->number);
    if (disturbance->number == SIGSTOP) {
        usleep(disturbance->stopped_us);
        disturbance->stopped =
            waitid(P_PID, (id_t)child, &info, WSTOPPED | WNOHANG) == 0 && info.si_pid == child;
        kill(disturbance->group ? -child : child, SIGCONT);
    }
}

static void run(struct mezz_process *mezz, struct disturbance *disturbance)
{
    static const char *const words[] = {"run",        "t.lua", "--json",  "out.json", "--trace",
                                        "trace.json", "--log", "run.log", NULL};

    mezz_begin(mezz);
    mezz_write(mezz, "t.lua", stack, sizeof(stack) - 1);
    mezz->during = disturbance != NULL ? disturb : NULL;
    mezz->context = disturbance;
    mezz_run(mezz, words);
}

/*
 * Moments are spread over a run and a little more. How long one takes is measured again and again:
 * the first of a lane take longer than those that follow, and other work comes and goes.
 */
struct moments {
    unsigned int usual_us;
    unsigned int rounds;
    unsigned int since; /* it was measured, in rounds */
};

/* Of a run that nobody disturbs. */
static void measure(struct moments *moments)
{
    struct mezz_process mezz;
    uint64_t before = now_ns();

    run(&mezz, NULL);
    moments->usual_us = (unsigned int)((now_ns() - before) / 1000);
    moments->since = 0;
    mezz_expect(&mezz, 0, "");
    mezz_end(&mezz, 4);
}

/* The same shares of a run in each run of the test, and others with MEZZ_SEED. */
static struct moments seed_moments(void)
{
    const char *variable = getenv("MEZZ_SEED");
    unsigned long seed = variable != NULL ? strtoul(variable, NULL, 0) : DEFAULT_SEED;
    struct moments moments = {0};

    printf("signals: seed %lu\n", seed);
    fflush(stdout);
    srandom((unsigned int)seed);
    measure(&moments); /* brings files into memory, and code */
    measure(&moments);
    return moments;
}

/* A run that is disturbed at the next moment. Its end tells how long runs take if nothing met it.
 */
static void run_disturbed(struct moments *moments, struct mezz_process *mezz,
                          struct disturbance *disturbance)
{
    uint64_t before;

    if (moments->since == MEASURED)
        measure(moments);
    disturbance->after_us =
        (unsigned int)((uint64_t)moments->usual_us * (unsigned int)(random() % 1100) / 1000);
    before = now_ns();
    run(mezz, disturbance);
    moments->rounds++;
    moments->since++;
    if (mezz->status == 0 && disturbance->number != SIGSTOP) {
        moments->usual_us = (unsigned int)((now_ns() - before) / 1000);
        moments->since = 0;
    }
}

static void check_log(const struct mezz_process *mezz, bool closed)
{
    struct log_report report;
    char path[256];
    char text[256];
    FILE *log;

    snprintf(path, sizeof(path), "%s/run.log", mezz->directory);
    log = fopen(path, "r");
    if (log == NULL) {
        ck_assert(!closed);
        return;
    }
    ck_assert_int_eq(event_log_verify(log, NULL, &report), 0);
    event_log_explain(&report, text, sizeof(text));
    if (closed)
        ck_assert_msg(report.verdict == LOG_WHOLE, "%s", text);
    else if (ftell(log) != 0)
        ck_assert_msg(report.verdict == LOG_WHOLE || report.verdict == LOG_NOT_CLOSED ||
                          report.verdict == LOG_CUT,
                      "%s", text);
    fclose(log);
}

/* Lines of JSON, and how many; the last one may be cut when the program was killed. */
static unsigned int check_trace(const struct mezz_process *mezz, bool closed)
{
    char *trace = mezz_read(mezz, "trace.json");
    char *line = trace;
    unsigned int lines = 0;

    while (line != NULL && line[0] != '\0') {
        char *end = strchr(line, '\n');
        json_t *json;

        if (end == NULL) {
            ck_assert_msg(!closed, "the trace's last line is cut: %s", line);
            break;
        }
        *end = '\0';
        json = json_loads(line, 0, NULL);
        ck_assert_msg(json != NULL, "no JSON in the trace: %s", line);
        json_decref(json);
        line = end + 1;
        lines++;
    }
    free(trace);
    return lines;
}

/* There is no report, or a whole one. */
static void check_report(const struct mezz_process *mezz, bool wanted)
{
    char *text = mezz_read(mezz, "out.json");
    json_t *json = text != NULL ? json_loads(text, JSON_ALLOW_NUL, NULL) : NULL;

    ck_assert_msg(text == NULL || json != NULL, "half a report:\n%s", text);
    ck_assert_msg(text != NULL || !wanted, "no report");
    json_decref(json);
    free(text);
}

static const int asked[] = {SIGINT, SIGTERM, SIGHUP};

/* What became of a run that was asked to end: the signal came before it was caught, ended the run,
 * or came when it was over. */
enum outcome {
    EARLY,
    ENDED,
    OVER,
    OUTCOMES
};

static enum outcome ask_to_end(struct moments *moments, int number)
{
    struct disturbance disturbance = {.number = number};
    struct mezz_process mezz;
    enum outcome outcome;
    char line[64];

    run_disturbed(moments, &mezz, &disturbance);
    ck_assert_uint_lt(now_ns() - disturbance.at_ns, END_LIMIT_NS + 2000ULL * moments->usual_us);
    outcome = mezz.status == 1000 + number ? EARLY : mezz.status == 128 + number ? ENDED : OVER;
    snprintf(line, sizeof(line), "ended by SIG%s\n", sigabbrev_np(number));
    if (outcome == ENDED)
        ck_assert_msg(mezz_lines(mezz.err) == 1 && strstr(mezz.err, line) != NULL,
                      "after %u of %u us: %s", disturbance.after_us, moments->usual_us, mezz.err);
    else if (outcome == OVER)
        mezz_expect(&mezz, 0, "");
    check_report(&mezz, outcome != EARLY);
    check_trace(&mezz, outcome != EARLY);
    check_log(&mezz, outcome != EARLY);
    mezz_end(&mezz, outcome == EARLY ? -1 : 4);
    return outcome;
}

/* Ends with 128 + n and a line; or it is over already; or the signal came before anything began. */
START_TEST(asked_to_end)
{
    struct moments moments = seed_moments();
    unsigned int counts[OUTCOMES] = {0};

    while (counts[ENDED] < ENDS && moments.rounds < MOST_ROUNDS * ENDS)
        counts[ask_to_end(&moments, asked[_i])]++;
    printf("signals: SIG%s: %u before it was caught, %u ended by it, %u over already\n",
           sigabbrev_np(asked[_i]), counts[EARLY], counts[ENDED], counts[OVER]);
    ck_assert_uint_eq(counts[ENDED], ENDS);
}
END_TEST

/* What is on the disk then is whole as far as it goes. mezz_run sees that no process is left. */
START_TEST(killed)
{
    struct moments moments = seed_moments();
    unsigned int kills = 0;
    unsigned int guests = 0; /* had run */

    while (kills < KILLS && moments.rounds < MOST_ROUNDS * KILLS) {
        struct disturbance disturbance = {.number = SIGKILL};
        struct mezz_process mezz;
        bool over;

        run_disturbed(&moments, &mezz, &disturbance);
        over = mezz.status != 1000 + SIGKILL;
        kills += !over;
        if (over)
            mezz_expect(&mezz, 0, "");
        check_report(&mezz, over);
        guests += check_trace(&mezz, over) > 0 && !over;
        check_log(&mezz, over);
        mezz_end(&mezz, -1);
    }
    printf("signals: %u of %u runs were killed, %u of them with lines in their trace\n", kills,
           moments.rounds, guests);
    ck_assert_uint_eq(kills, KILLS);
}
END_TEST

/* One process, as by kill; or both, as by a terminal. */
START_TEST(stopped_for_a_while)
{
    struct moments moments = seed_moments();
    unsigned int stops = 0;

    while (stops < STOPS && moments.rounds < MOST_ROUNDS * STOPS) {
        struct disturbance disturbance = {.number = SIGSTOP,
                                          .stopped_us = (unsigned int)random() % 100000,
                                          .group = moments.rounds % 2 != 0};
        struct mezz_process mezz;

        run_disturbed(&moments, &mezz, &disturbance);
        stops += disturbance.stopped;
        mezz_expect(&mezz, 0, "");
        check_report(&mezz, true);
        check_trace(&mezz, true);
        check_log(&mezz, true);
        mezz_end(&mezz, 4);
    }
    printf("signals: %u of %u runs were stopped\n", stops, moments.rounds);
    ck_assert_uint_eq(stops, STOPS);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "signals", 300, EACH(asked_to_end, ELEMENTS(asked)), ONCE(killed),
             ONCE(stopped_for_a_while))
