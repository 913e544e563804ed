/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_TEST_MACHINE_H
#define TESTS_TEST_MACHINE_H

#include "vmm/machine.h"

/* Machines in the test's own process. */

/* Why there can be none, or NULL. For RUN_CASES_IF. */
const char *test_machine_obstacle(void);

/* The path of an image that was built, valid for the next 31 calls. */
const char *test_image(const char *name);

/* How many times longer things may take here than on a machine of one's own: 1 or more. */
unsigned int test_machine_patience(void);

/* Fails the test if there is none. config's l1_image is filled in. */
struct machine *test_machine_create(struct machine_config *config, const char *l1_image);

/* Runs it on threads of the test, one for each vCPU of L1, and fills in what L1 said. prepare is
 * called once, under the lock, before the first L2 runs. */
void test_machine_run(struct machine *machine, void (*prepare)(struct machine *machine));

/* Fails the test, with what L1 said, unless L1 ended the machine with status 0. */
void test_machine_ended_well(const struct machine_report *report, const char *what);

#endif
