/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_HOST_MEMORY_H
#define BENCH_HOST_MEMORY_H

#include <stdbool.h>

/*
 * What something takes of the host's memory, by what the host has left: KVM's structures and page
 * tables are nowhere else told. Others take and give memory, too: a figure is known only if, when
 * all was given back, the host has what it had before.
 */
struct host_memory {
    double start_kb;
    double before_kb;
    double taken_kb;
};

struct host_memory_figure {
    double kb;
    bool known;
};

void host_memory_start(struct host_memory *memory);
/* What is taken between these two is the figure. */
void host_memory_before(struct host_memory *memory);
void host_memory_after(struct host_memory *memory);
/* All is given back. */
struct host_memory_figure host_memory_end(const struct host_memory *memory);

/* The same of these samples. */
struct host_memory_figure host_memory_judge(double start_kb, double taken_kb, double end_kb);

#endif
