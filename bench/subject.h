/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include <stdint.h>

#include "host/error.h"
#include "vmm/l1.h"

/*
 * A machine under measurement, run by the calling thread through the root's own path: what
 * machine_run.c's vCPU thread does, one L2 exit at a time. Several may be alive at once; one of
 * them is begun.
 */
struct subject {
    struct machine *machine;
    struct l1_vcpu *l1;
};

/* image: bench_l1.elf; command_line: what its main.c reads; kvm: a device or NULL. Runs it up to
 * its first L2 exit. -errno as machine_create, -EPROTO when a guest died. */
int subject_create(struct subject *subject, const char *image, const char *command_line,
                   const char *kvm, struct error *error);
void subject_destroy(struct subject *subject);

/* Between these two the thread is the machine's physical CPU and holds its lock. */
int subject_begin(struct subject *subject, struct error *error);
void subject_end(struct subject *subject);

/* What an exit of L2 has led to: the state of the physical CPU between two cycles. */
enum l1_mode subject_mode(const struct subject *subject);

/* From here to the next exit of an L2. `ticks`: of the time stamp counter. */
int subject_cycle(struct subject *subject, uint64_t *ticks, struct error *error);

struct subject_counts {
    uint64_t kvm_runs;
    uint64_t other_ioctls; /* on vCPUs */
};

/* The same, counted, not timed. *interrupted: the root's timer fell into it. */
int subject_count_cycle(struct subject *subject, struct subject_counts *counts, bool *interrupted,
                        struct error *error);

#endif
