/* SPDX-License-Identifier: Apache-2.0 */
/* Two vCPUs of one L2, each on an L1 vCPU of its own, and pages that are copied when they are
 * written. */
#include <stdlib.h>
#include <string.h>

#include "runner.h"
#include "test_machine.h"

#define MIB        (1ULL << 20)
#define TIMEOUT_NS 200000000000ULL

/* The page that one vCPU writes, and is given a copy of, is nobody's any more in its old form. */
START_TEST(copies_are_everybodys)
{
    struct machine_config config = {.l1_memory = 32 * MIB, .l1_vcpus = 2, .timeout_ns = TIMEOUT_NS};
    struct machine *machine = test_machine_create(&config, "copies_l1.elf");
    struct machine_report report;

    machine_run(machine, &report);
    test_machine_ended_well(&report, "copies_l1.elf");
    machine_destroy(machine);
}
END_TEST

static const char *obstacle(void)
{
    const char *lane = getenv("MEZZ_LANE");

    if (lane != NULL && strncmp(lane, "vmx", 3) == 0)
        return "the machine under Bochs stands still with it (docs/lanes.md)";
    return test_machine_obstacle();
}

RUN_CASES_IF(obstacle, "smp_copies", 120, ONCE(copies_are_everybodys))
