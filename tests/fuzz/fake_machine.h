/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_FAKE_MACHINE_H
#define TESTS_FUZZ_FAKE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct machine;

/* What a target does to a machine on the fake KVM: its memory is L1_MEMORY, its host one of these.
 */
struct fake_host {
    bool nested_paging;
    bool logs_each_write;
};

/* Ends the program if there is none to be had. */
struct machine *fake_machine_create(const struct fake_host *host);

/* L1 runs until the input is at its end. Then the machine is gone, and nothing may be left of it.
 */
void fake_machine_run(struct machine *machine, const uint8_t *data, size_t size);

#endif
