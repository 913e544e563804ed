/* SPDX-License-Identifier: Apache-2.0 */
/* Signals at any moment: mezz ends at once and well, or goes on as if nothing had been. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hookguard/event_log.h"
#include "mezz_process.h"
#include "runner.h"

#define DEFAULT_SEED 20261124UL
#define END_LIMIT_NS 5000000000ULL /* from the signal to the end */
#define ROUNDS       40
#define KILLS        200

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
    uint64_t at_ns;          /* when it was sent */
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

    usleep(disturbance->after_us);
    disturbance->at_ns = now_ns();
    kill(child, disturbance->number);
    if (disturbance->number == SIGSTOP) {
        usleep(disturbance->stopped_us);
        kill(child, SIGCONT);
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

/* The same moments in each run of the test, and others with MEZZ_SEED. */
static void seed_moments(void)
{
    const char *variable = getenv("MEZZ_SEED");
    unsigned long seed = variable != NULL ? strtoul(variable, NULL, 0) : DEFAULT_SEED;

    printf("signals: seed %lu\n", seed);
    fflush(stdout);
    srandom((unsigned int)seed);
}

/* How long a run takes that nobody disturbs, in us. */
static unsigned int usual_time(void)
{
    struct mezz_process mezz;
    uint64_t before = now_ns();
    uint64_t taken;

    run(&mezz, NULL);
    taken = now_ns() - before;
    mezz_expect(&mezz, 0, "");
    mezz_end(&mezz, 4);
    return (unsigned int)(taken / 1000);
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

/* Lines of JSON; the last one may be cut when the program was killed. */
static void check_trace(const struct mezz_process *mezz, bool closed)
{
    char *trace = mezz_read(mezz, "trace.json");
    char *line = trace;

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
    }
    free(trace);
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

/* Ends with 128 + n and a line; or it is over already; or the signal came before anything began. */
START_TEST(asked_to_end)
{
    unsigned int usual = usual_time();
    unsigned int counts[3] = {0};
    char line[64];

    seed_moments();
    snprintf(line, sizeof(line), "ended by SIG%s\n", sigabbrev_np(asked[_i]));
    for (int i = 0; i < ROUNDS; i++) {
        struct disturbance disturbance = {.number = asked[_i],
                                          .after_us = (unsigned int)random() % (usual + usual / 4)};
        struct mezz_process mezz;
        bool early, ended;

        run(&mezz, &disturbance);
        ck_assert_uint_lt(now_ns() - disturbance.at_ns, END_LIMIT_NS);
        early = mezz.status == 1000 + asked[_i];
        ended = mezz.status == 128 + asked[_i];
        counts[early ? 0 : ended ? 1 : 2]++;
        if (ended)
            ck_assert_msg(mezz_lines(mezz.err) == 1 && strstr(mezz.err, line) != NULL,
                          "after %u us: %s", disturbance.after_us, mezz.err);
        else if (!early)
            mezz_expect(&mezz, 0, "");
        check_report(&mezz, !early);
        check_trace(&mezz, !early);
        check_log(&mezz, !early);
        mezz_end(&mezz, early ? -1 : 4);
    }
    printf("signals: SIG%s: %u before it was caught, %u ended by it, %u over already\n",
           sigabbrev_np(asked[_i]), counts[0], counts[1], counts[2]);
    ck_assert_uint_gt(counts[1], ROUNDS / 4);
}
END_TEST

/* What is on the disk then is whole as far as it goes. mezz_run sees that no process is left. */
START_TEST(killed)
{
    unsigned int usual = usual_time();
    int kills = 0;

    seed_moments();
    for (int i = 0; i < KILLS; i++) {
        struct disturbance disturbance = {.number = SIGKILL,
                                          .after_us = (unsigned int)random() % (usual + usual / 4)};
        struct mezz_process mezz;

        run(&mezz, &disturbance);
        kills += mezz.status == 1000 + SIGKILL;
        if (mezz.status != 1000 + SIGKILL)
            mezz_expect(&mezz, 0, "");
        check_report(&mezz, mezz.status == 0);
        check_trace(&mezz, mezz.status == 0);
        check_log(&mezz, mezz.status == 0);
        mezz_end(&mezz, -1);
    }
    printf("signals: %d of %d runs were killed\n", kills, KILLS);
    /* How many is a matter of how fast the runs are, and of what else the machine does. */
    ck_assert_int_gt(kills, KILLS / 5);
}
END_TEST

START_TEST(stopped_for_a_while)
{
    unsigned int usual = usual_time();

    seed_moments();
    for (int i = 0; i < ROUNDS; i++) {
        struct disturbance disturbance = {.number = SIGSTOP,
                                          .after_us = (unsigned int)random() % usual,
                                          .stopped_us = (unsigned int)random() % 100000};
        struct mezz_process mezz;

        run(&mezz, &disturbance);
        mezz_expect(&mezz, 0, "");
        check_report(&mezz, true);
        check_trace(&mezz, true);
        check_log(&mezz, true);
        mezz_end(&mezz, 4);
    }
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "signals", 300, EACH(asked_to_end, ELEMENTS(asked)), ONCE(killed),
             ONCE(stopped_for_a_while))
