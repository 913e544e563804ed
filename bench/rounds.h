/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_ROUNDS_H
#define BENCH_ROUNDS_H

#include <stdbool.h>
#include <stdint.h>

#include "bare.h"
#include "host/kvm.h"
#include "only.h"
#include "paths.h"
#include "statistics.h"
#include "subject.h"

struct measurement {
    const struct path *path;
    struct subject subject;
    struct series ticks; /* of each cycle */
    struct series ratio; /* of each round: its median to that of the R next to it */
    uint64_t counted;    /* cycles in these: */
    struct subject_counts counts;
};

struct effort {
    unsigned int rounds;
    unsigned int fewest_rounds; /* also when the time is over */
    unsigned int cycles;        /* of one path in one round */
    uint64_t budget_ns;
};

struct rounds {
    struct bare bare[2]; /* port, memory */
    struct series r[2];  /* ticks */
    struct measurement *measurement;
    size_t count;
    unsigned int done;
    double us_per_tick;
};

/* Builds the machines of all paths that --only asks for. */
int rounds_create(struct rounds *rounds, const struct kvm *kvm, const char *device,
                  const char *image, const struct cli_words *only, struct error *error);
/* Also of one that is all zeros. */
void rounds_destroy(struct rounds *rounds);

/* In each round each path has its turn, right after a turn of R. */
int rounds_run(struct rounds *rounds, const struct effort *effort, struct error *error);

/* NULL when it was not asked for. */
const struct measurement *rounds_find(const struct rounds *rounds, const char *group,
                                      const char *name);

#endif
