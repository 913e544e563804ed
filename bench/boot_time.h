/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_BOOT_TIME_H
#define BENCH_BOOT_TIME_H

#include "host/error.h"
#include "statistics.h"

/* From exec of this program to the first thing that a ring-3 program in an L2 says. */
struct boot_times {
    struct series inside_ms;  /* first_l2_output_ms of the run's own JSON */
    struct series outside_ms; /* from before fork to the line on a pipe */
};

/* Runs `mezz run` on a small stack `runs` times, with its options --images and --kvm where they are
 * not NULL. -errno and a message. */
int boot_times_measure(struct boot_times *times, unsigned int runs, const char *images,
                       const char *device, struct error *error);
void boot_times_release(struct boot_times *times);

#endif
