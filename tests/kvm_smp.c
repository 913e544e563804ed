/* SPDX-License-Identifier: Apache-2.0 */
/* L1 with two vCPUs: L2s at the same time, and nothing counted twice or not at all. */
#include <string.h>

#include "l1/smp.h"
#include "mezz/calls.h"
#include "runner.h"
#include "test_machine.h"

#define MIB        (1ULL << 20)
#define TIMEOUT_NS 200000000000ULL
#define GUESTS     6U
#define ROUNDS     3

/* Every registration's own sum, and how many exits its L2's registrations dealt with. */
static uint64_t check_callbacks(const struct l2_report *l2)
{
    uint64_t fired = 0;

    for (unsigned int i = 0; i < l2->callback_count; i++) {
        const struct mezz_callback_counters *counters = &l2->callbacks[i].counters;
        uint64_t sum = counters->fired;

        for (unsigned int c = 0; c < MEZZ_MAX_CONDITIONS; c++)
            sum += counters->failed[c];
        ck_assert_uint_eq(counters->evaluated, sum);
        fired += counters->fired;
    }
    return fired;
}

/* A dedicated L1 compares what it counted; the root's counts have to be the same. */
START_TEST(counts_are_exact)
{
    struct machine_config config = {.l1_memory = 32 * MIB, .l1_vcpus = 2, .timeout_ns = TIMEOUT_NS};
    struct machine *machine = test_machine_create(&config, "smp_l1.elf");
    struct machine_report report;

    machine_run(machine, &report);
    test_machine_ended_well(&report, "smp_l1.elf");
    ck_assert_uint_eq(report.l2_count, SMP_L2S);
    for (unsigned int i = 0; i < report.l2_count; i++) {
        const struct l2_report *l2 = &report.l2[i];
        const struct exit_counts *io = &l2->exits[MEZZ_EXIT_IO];

        ck_assert_uint_eq(io->root, SMP_EXITS);
        ck_assert_uint_eq(io->callback + io->reflect, 2 * SMP_EXITS);
        ck_assert_uint_ge(io->reflect, SMP_EXITS);
        ck_assert_uint_eq(check_callbacks(l2), io->callback);
        ck_assert_uint_eq(l2->exits[MEZZ_EXIT_HLT].reflect, 1);
    }
    machine_destroy(machine);
}
END_TEST

static const char *const ways[] = {"exits=callback", "exits=observe ept=dirty ept=cow",
                                   "exits=reflect", "exits=classic"};

/* Six guests of nested_l1 with the same program; the last one has less to do. */
static struct machine *run_guests(const char *way, struct machine_report *report)
{
    static const char *const names[GUESTS] = {"a", "b", "c", "d", "e", "f"};
    const struct module_config programs[] = {{test_image("count.elf"), "count.elf"},
                                             {test_image("hello.elf"), "hello.elf"}};
    struct l2_config l2[GUESTS];
    char line[128];
    struct machine *machine;
    struct machine_config config = {
        .l1_memory = 96 * MIB,
        .l1_command_line = line,
        .l1_vcpus = 2,
        .l2 = l2,
        .l2_count = GUESTS,
        .timeout_ns = TIMEOUT_NS,
    };

    for (unsigned int i = 0; i < GUESTS; i++)
        l2[i] = (struct l2_config){
            .name = names[i],
            .memory = 4 * MIB,
            .image = {test_image("tiny-os.elf"), "tick=20"},
            .modules = programs + (i % 2 == 0 ? 0 : 1),
            .module_count = i % 2 == 0 ? 2 : 1,
        };
    snprintf(line, sizeof(line), "slice=1000 %s", way);
    machine = test_machine_create(&config, "nested_l1.elf");
    machine_run(machine, report);
    test_machine_ended_well(report, line);
    return machine;
}

/* The number behind "processor N: " in L1's console. */
static uint64_t entries_of(const struct console_text *console, unsigned int processor)
{
    char text[4096], key[32];
    unsigned long long entries;
    const char *at;

    snprintf(text, sizeof(text), "%.*s", (int)console->length, console->text);
    snprintf(key, sizeof(key), "processor %u: ", processor);
    at = strstr(text, key);
    ck_assert_msg(at != NULL, "no \"%s\" in:\n%s", key, text);
    ck_assert_int_eq(sscanf(at + strlen(key), "%llu", &entries), 1);
    return entries;
}

static void check_guest(const struct l2_report *l2, const char *words)
{
    ck_assert_msg(l2->end == L2_DONE && l2->status == 0, "%s: status %u", l2->name, l2->status);
    ck_assert_msg(memmem(l2->console.text, l2->console.length, words, strlen(words)) != NULL,
                  "%s: no \"%s\" in:\n%.*s", l2->name, words, (int)l2->console.length,
                  l2->console.text);
    check_callbacks(l2);
}

START_TEST(guests_run_on_both)
{
    struct machine_report report;
    struct machine *machine = run_guests(ways[_i], &report);
    uint64_t first = entries_of(&report.l1.console, 0);
    uint64_t second = entries_of(&report.l1.console, 1);

    ck_assert_uint_gt(first, 0);
    ck_assert_uint_gt(second, 0);
    ck_assert_uint_eq(first + second, report.l1.calls[MEZZ_CALL_ENTER]);
    for (unsigned int i = 0; i < GUESTS; i++) {
        check_guest(&report.l2[i], i % 2 == 0 ? "(2 exited, 0 faulted" : "(1 exited, 0 faulted");
    }
    machine_destroy(machine);
}
END_TEST

RUN_CASES_IF(test_machine_obstacle, "smp", 120, EACH(counts_are_exact, ROUNDS),
             EACH(guests_run_on_both, ELEMENTS(ways)))
