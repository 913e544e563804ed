/* SPDX-License-Identifier: Apache-2.0 */
/* Holds the root against the conformance kit (tests/conformance): a machine for each group. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mezz/vmcs12.h"
#include "runner.h"
#include "vmm/cli/cli_caged.h"
#include "vmm/machine.h"

#define L1_MEMORY (64ULL << 20)
#define NS        1000000000ULL

/* The number of PASS lines, so that a check that is not reached is noticed. */
static const struct group {
    const char *name;
    unsigned int checks;
} groups[] = {
    {"detect", 28},  {"calls", 72},   {"ring3", 7},       {"register", 116}, {"conditions", 329},
    {"history", 93}, {"frame", 60},   {"actions", 105},   {"stay", 28},      {"stop", 3},
    {"inject", 149}, {"flight", 40},  {"vmcs", 47},       {"reload", 2},     {"classic", 155},
    {"io", 116},     {"memory", 205}, {"fragments", 204}, {"rights", 166},   {"hlt", 19},
    {"msr", 533},    {"events", 26},  {"entry", 439},     {"death", 15},     {"paging", 54},
    {"sync", 16},    {"smp", 84},     {"views", 177},     {"gate", 313},     {"strings", 593},
};

struct outcome {
    enum machine_end end;
    unsigned int status;
    unsigned int passed;
    unsigned int failed;
    uint64_t groups_loaded[MEZZ_GROUP_COUNT]; /* of the L2 that has the group's name */
    struct exit_counts io;                    /* the same */
};

/* Counts the lines of the console, and shows those that are not passes. */
static void count_lines(struct outcome *outcome, const struct console_text *console)
{
    const char *at = console->text;
    const char *end = at + console->length;

    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop != NULL ? stop : end) - at);

        if (length >= 5 && memcmp(at, "PASS ", 5) == 0)
            outcome->passed++;
        else if (length >= 5 && memcmp(at, "FAIL ", 5) == 0)
            outcome->failed++;
        if (length < 5 || memcmp(at, "PASS ", 5) != 0)
            fprintf(stderr, "%.*s\n", (int)length, at);
        at += length + 1;
    }
}

static void look_at(struct outcome *outcome, const char *name, const struct machine_report *report)
{
    outcome->end = report->end;
    outcome->status = report->status;
    count_lines(outcome, &report->l1.console);
    for (unsigned int i = 0; i < report->l2_count; i++) {
        if (strcmp(report->l2[i].name, name) != 0)
            continue;
        memcpy(outcome->groups_loaded, report->l2[i].groups_loaded, sizeof(outcome->groups_loaded));
        outcome->io = report->l2[i].exits[MEZZ_EXIT_IO];
    }
    if (report->end != MACHINE_DONE)
        fprintf(stderr, "%s: %s\n%s", name, report->error.text, report->last_words);
}

static void run_here(struct outcome *outcome, const char *name, const struct machine_config *config)
{
    struct machine_report report;
    struct machine *machine;
    struct error error;

    ck_assert_msg(machine_create(&machine, config, &error) == 0, "%s", error.text);
    machine_run(machine, &report);
    look_at(outcome, name, &report);
    machine_destroy(machine);
}

static void run_caged(struct outcome *outcome, const char *name,
                      const struct machine_config *config)
{
    struct terminal terminal;
    struct caged_run run = {.config = config, .terminal = &terminal};
    struct machine_report report;
    struct error error;

    ck_assert_int_eq(terminal_init(&terminal, STDERR_FILENO, false, false), 0);
    ck_assert_msg(caged_run(&run, &report, &error) == 0, "%s", error.text);
    ck_assert(report.cage.on);
    look_at(outcome, name, &report);
    report_release(&report);
    terminal_destroy(&terminal);
}

typedef void machine_runner(struct outcome *outcome, const char *name,
                            const struct machine_config *config);

/* engine: of the views of the group's L2; NULL: what suits the host. */
static struct outcome run_group_on(const char *name, const char *engine, machine_runner *run)
{
    const char *images = getenv("MEZZ_IMAGES");
    struct machine_config config = {.l1_memory = L1_MEMORY, .l1_vcpus = 2, .timeout_ns = 240 * NS};
    struct outcome outcome = {.failed = 0};
    char image[512], line[64], guest[512];
    /* The kit makes its L2s by itself: this one's image is for the root's eyes only. */
    const struct l2_config l2 = {
        .name = name, .memory = 2ULL << 20, .image = {guest, ""}, .engine = engine};

    snprintf(guest, sizeof(guest), "%s/tiny-os.elf", images != NULL ? images : "images");
    if (engine != NULL) {
        config.l2 = &l2;
        config.l2_count = 1;
    }
    snprintf(image, sizeof(image), "%s/conformance_l1.elf", images != NULL ? images : "images");
    snprintf(line, sizeof(line), "group=%s", name);
    config.l1_image = image;
    config.l1_command_line = line;
    run(&outcome, name, &config);
    return outcome;
}

static struct outcome run_group(const char *name)
{
    return run_group_on(name, NULL, run_here);
}

static void check_group(const struct group *group, const char *engine, machine_runner *run)
{
    struct outcome outcome = run_group_on(group->name, engine, run);

    ck_assert_msg(outcome.end == MACHINE_DONE, "%s: did not end by itself", group->name);
    ck_assert_msg(outcome.failed == 0 && outcome.status == 0, "%s: %u failed, status %u",
                  group->name, outcome.failed, outcome.status);
    ck_assert_msg(outcome.passed == group->checks, "%s: %u checks passed, %u are expected",
                  group->name, outcome.passed, group->checks);
}

START_TEST(conforms)
{
    check_group(&groups[_i], NULL, run_here);
}
END_TEST

/* Tens of thousands of slots: no work for an emulated machine, which leaves the case out. */
static int can_make_many_slots(void)
{
    const char *lane = getenv("MEZZ_LANE");

    return lane == NULL || strcmp(lane, "host") == 0;
}

START_TEST(conforms_at_the_limit_of_extents)
{
    static const struct group group = {"extents", 14};

    check_group(&group, NULL, run_here);
}
END_TEST

static const char *const engines[] = {"flip", "remap", "slots"};
static const char *const view_groups[] = {"views", "gate", "smp"};

static void check_on_engine(int number, machine_runner *run)
{
    const char *name = view_groups[(size_t)number / ELEMENTS(engines)];

    for (size_t i = 0; i < ELEMENTS(groups); i++)
        if (strcmp(groups[i].name, name) == 0)
            check_group(&groups[i], engines[(size_t)number % ELEMENTS(engines)], run);
}

/* Whatever the host would get. */
START_TEST(conforms_on_each_engine)
{
    check_on_engine(_i, run_here);
}
END_TEST

/* The cage leaves a machine all that it needs. */
START_TEST(conforms_in_the_cage)
{
    check_group(&groups[_i], NULL, run_caged);
}
END_TEST

START_TEST(each_engine_in_the_cage)
{
    check_on_engine(_i, run_caged);
}
END_TEST

/* A resume that touches one group of the VMCS12 reloads that one. */
START_TEST(one_group_is_reloaded)
{
    struct outcome outcome = run_group("reload");

    ck_assert_uint_eq(outcome.failed, 0);
    for (unsigned int i = 0; i < MEZZ_GROUP_EXIT; i++)
        ck_assert_msg(outcome.groups_loaded[i] == i + 2, "group %u: loaded %llu times, not %u", i,
                      (unsigned long long)outcome.groups_loaded[i], i + 2);
}
END_TEST

/* The root handles an OUT, and the handler that hears of it stops the L2. */
START_TEST(an_exit_is_counted_once)
{
    struct outcome outcome = run_group("stop");

    ck_assert_uint_eq(outcome.io.root, 1);
    ck_assert_uint_eq(outcome.io.callback, 0);
    ck_assert_uint_eq(outcome.io.reflect, 0);
}
END_TEST

/* A kit that cannot fail says nothing. */
START_TEST(failures_are_seen)
{
    struct outcome outcome = run_group("selftest");

    ck_assert_int_eq(outcome.end, MACHINE_DONE);
    ck_assert_uint_eq(outcome.passed, 1);
    ck_assert_uint_eq(outcome.failed, 3);
    ck_assert_uint_eq(outcome.status, 3);
}
END_TEST

START_TEST(unknown_groups_fail)
{
    struct outcome outcome = run_group("no-such-group");

    ck_assert_int_eq(outcome.end, MACHINE_DONE);
    ck_assert_uint_eq(outcome.failed, 1);
    ck_assert_uint_eq(outcome.status, 1);
}
END_TEST

static const char *obstacle(void)
{
    return access("/dev/kvm", R_OK | W_OK) == 0 ? NULL : "there is no /dev/kvm to use";
}

RUN_CASES_IF(obstacle, "conformance", 300, EACH(conforms, ELEMENTS(groups)),
             EACH(conforms_on_each_engine, ELEMENTS(engines) * ELEMENTS(view_groups)),
             EACH(conforms_in_the_cage, ELEMENTS(groups)),
             EACH(each_engine_in_the_cage, ELEMENTS(engines) * ELEMENTS(view_groups)),
             EACH(conforms_at_the_limit_of_extents, can_make_many_slots()),
             ONCE(one_group_is_reloaded), ONCE(an_exit_is_counted_once), ONCE(failures_are_seen),
             ONCE(unknown_groups_fail))
