/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PATHS_H
#define BENCH_PATHS_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/l1.h"

/* What is measured: a kind of L2 exit and what deals with it. */
struct path {
    const char *group;        /* key in the JSON's "detail" */
    const char *name;         /* key in the group */
    const char *command_line; /* of bench_l1.elf */
    bool memory;              /* compared with R of a memory access, otherwise of a port */
    bool slow;                /* many times R: fewer cycles */
    enum l1_mode mode;        /* where an exit leads to; a cycle begins and ends there */
    const char *goal;         /* for people; NULL: none */
};

extern const struct path paths[];
extern const size_t path_count;

/* Index of group and name, which exist. */
size_t path_index(const char *group, const char *name);

/* Its row, for --only: "io.callback". */
#define PATH_ROW 40U
void path_row(const struct path *path, char row[PATH_ROW]);

#endif
