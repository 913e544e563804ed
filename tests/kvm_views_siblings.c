/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two vCPUs of an L2 that are in different views at the same time, and stay in KVM_RUN: a page
 * table entry that one of them changes is honoured for the other. On each engine.
 */
#include <stdio.h>

#include "runner.h"
#include "test_machine.h"
#include "views/host_traits.h"

#define MIB        (1ULL << 20)
#define TIMEOUT_NS 90000000000ULL

static const char *const changes[] = {"remap", "unmap", "protect", "bits"};

START_TEST(a_change_is_honoured)
{
    const char *change = changes[(unsigned int)_i % ELEMENTS(changes)];
    const enum engine_kind engine = (enum engine_kind)((unsigned int)_i / ELEMENTS(changes));
    /* The kit makes its L2 by itself: this image is for the root's eyes only. */
    const struct l2_config l2 = {.name = change,
                                 .memory = 2 * MIB,
                                 .image = {test_image("tiny-os.elf"), ""},
                                 .engine = engine_name(engine)};
    char line[32];
    struct machine_config config = {.l1_memory = 32 * MIB,
                                    .l1_command_line = line,
                                    .l1_vcpus = 2,
                                    .l2 = &l2,
                                    .l2_count = 1,
                                    .timeout_ns = TIMEOUT_NS};
    struct machine_report report;
    struct machine *machine;

    snprintf(line, sizeof(line), "group=%s", change);
    machine = test_machine_create(&config, "coherent_l1.elf");
    machine_run(machine, &report);
    test_machine_ended_well(&report, l2.engine);
    machine_destroy(machine);
}
END_TEST

RUN_CASES_IF(test_machine_obstacle, "views: siblings", 120,
             EACH(a_change_is_honoured, ELEMENTS(changes) * ENGINE_KINDS))
