/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An L1 that means harm (tests/guests/hostile_l1.c): random calls, VMCS12s, EPT12s, registrations
 * and answers from fixed seeds. The root outlives it, its well-behaved L2 is as it was, and nothing
 * is left behind. HOSTILE_TRIES is the number of tries of each run.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mezz/calls.h"
#include "runner.h"
#include "test_machine.h"
#include "vmm/machine.h"

#define L1_MEMORY (64ULL << 20)
#define MS        1000000ULL

static const char *const seeds[] = {"1", "7e57", "badc0de", "123456789abcdef", "feedfacecafebeef"};

static unsigned int open_files(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned int count = 0;

    ck_assert_ptr_nonnull(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static struct machine *run(const char *line, uint64_t timeout, struct machine_report *report)
{
    const char *images = getenv("MEZZ_IMAGES");
    char image[512];
    struct machine_config config = {
        .l1_memory = L1_MEMORY,
        .l1_image = image,
        .l1_command_line = line,
        .l1_vcpus = strcmp(line, "case=double-fetch") == 0 ? 2 : 1,
        .timeout_ns = timeout,
        .callback_timeout_ns = 300 * MS,
    };
    struct machine *machine;
    struct error error;

    snprintf(image, sizeof(image), "%s/hostile_l1.elf", images != NULL ? images : "images");
    ck_assert_msg(machine_create(&machine, &config, &error) == 0, "%s", error.text);
    machine_run(machine, report);
    if (report->end != MACHINE_DONE)
        fprintf(stderr, "%s: %s\n%s", line, report->error.text, report->last_words);
    fwrite(report->l1.console.text, 1, report->l1.console.length, stderr);
    return machine;
}

static bool contains(const struct console_text *console, const char *text)
{
    return memmem(console->text, console->length, text, strlen(text)) != NULL;
}

static const struct l2_report *canary(const struct machine_report *report)
{
    for (unsigned int i = 0; i < report->l2_count; i++)
        if (strcmp(report->l2[i].name, "canary") == 0)
            return &report->l2[i];
    return NULL;
}

/* The canary's console is its lines, all of them and nothing else. */
static void expect_song(const struct machine_report *report, unsigned int rounds)
{
    const struct l2_report *bird = canary(report);

    ck_assert_ptr_nonnull(bird);
    ck_assert_uint_eq(bird->console.length, 6 * rounds);
    for (unsigned int i = 0; i < rounds; i++)
        ck_assert_int_eq(memcmp(bird->console.text + 6 * (size_t)i, "tweet\n", 6), 0);
}

static const char *const attacks[] = {
    "case=return-twice", "case=unregister-in-flight", "case=forged-action",
    "case=forged-vmcs",  "case=double-fetch",         "case=ept-loop",
    "case=ept-deep",     "case=ept-reserved",         "case=ept-outside",
    "case=ept-self",
};

/* One attack each: refused with its own error, and the canary is well before and afterwards. */
START_TEST(one_case)
{
    struct machine_report report;
    struct machine *machine = run(attacks[_i], test_machine_patience() * 60000 * MS, &report);

    ck_assert_int_eq(report.end, MACHINE_DONE);
    ck_assert_uint_eq(report.status, 0);
    ck_assert(contains(&report.l1.console, "stopped, refusals "));
    expect_song(&report, 2);
    machine_destroy(machine);
}
END_TEST

START_TEST(tries)
{
    const char *wanted = getenv("HOSTILE_TRIES");
    unsigned int count = wanted != NULL ? (unsigned int)strtoul(wanted, NULL, 10) : 2000;
    unsigned int files = open_files();
    struct machine_report report;
    struct machine *machine;
    char line[64];

    snprintf(line, sizeof(line), "seed=%s count=%u", seeds[_i], count);
    machine = run(line, 1500000 * MS, &report);
    ck_assert_int_eq(report.end, MACHINE_DONE);
    ck_assert_uint_eq(report.status, 0);
    ck_assert(contains(&report.l1.console, "canary 0x"));
    ck_assert_uint_gt(report.l1.refused_calls, count / 10);
    ck_assert_uint_gt(report.l1.calls[8], count / 100);
    expect_song(&report, count / 1000 + 1);
    /* What it made and unmade does not pile up. */
    for (unsigned int i = 0; i < report.l2_count; i++)
        ck_assert_uint_le(report.l2[i].callback_count, 4 * MEZZ_MAX_CALLBACKS);
    ck_assert_uint_le(report.l2_count, 4 * MEZZ_MAX_L2);
    machine_destroy(machine);
    ck_assert_uint_eq(open_files(), files);
}
END_TEST

/* A handler that keeps the processor costs L1 its life, with a diagnosis; the other levels' state
 * is in the report. */
START_TEST(handler_that_never_returns)
{
    struct machine_report report;
    struct machine *machine = run("handler=spins", 60000 * MS, &report);

    ck_assert_int_eq(report.end, MACHINE_DIED);
    ck_assert(strstr(report.error.text, "callback handler 2") != NULL);
    ck_assert(strstr(report.error.text, "has not returned for 300 ms") != NULL);
    ck_assert(strstr(report.error.text, "io of L2 canary") != NULL);
    ck_assert(strstr(report.last_words, "in a callback handler") != NULL);
    ck_assert(strstr(report.last_words, "L2 canary, vCPU 1") != NULL);
    ck_assert_uint_lt(report.duration_ns, 30000 * MS);
    expect_song(&report, 1);
    machine_destroy(machine);
}
END_TEST

START_TEST(handler_that_halts)
{
    struct machine_report report;
    struct machine *machine = run("handler=halts", 60000 * MS, &report);

    ck_assert_int_eq(report.end, MACHINE_DIED);
    ck_assert_uint_gt(strlen(report.error.text), 0);
    ck_assert(strstr(report.last_words, "in a callback handler") != NULL);
    expect_song(&report, 1);
    machine_destroy(machine);
}
END_TEST

/* No call holds the root beyond the run's time. The call is only reached in time that is long
 * enough. */
START_TEST(time_is_over_amid_a_list)
{
    const uint64_t grain = test_machine_patience() * 250 * MS;
    struct machine_report report;
    struct machine *machine;
    uint64_t timeout = 250 * MS;

    for (;;) {
        machine = run("case=ept-lists", timeout, &report);
        ck_assert_int_eq(report.end, MACHINE_TIMEOUT);
        ck_assert_uint_lt(report.duration_ns, timeout + grain);
        if (report.l1.calls[MEZZ_CALL_EPTP_LIST] > 0)
            break;
        machine_destroy(machine);
        timeout *= 2;
    }
    ck_assert_uint_eq(report.l1.calls[MEZZ_CALL_EPTP_LIST], 1);
    machine_destroy(machine);
}
END_TEST

static const char *obstacle(void)
{
    return access("/dev/kvm", R_OK | W_OK) == 0 ? NULL : "there is no /dev/kvm to use";
}

RUN_CASES_IF(obstacle, "hostile_l1", 1800, EACH(tries, ELEMENTS(seeds)),
             EACH(one_case, ELEMENTS(attacks)), ONCE(handler_that_never_returns),
             ONCE(handler_that_halts), ONCE(time_is_over_amid_a_list))
