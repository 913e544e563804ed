/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CALL_FIGURES_H
#define BENCH_CALL_FIGURES_H

#include "call_guest.h"
#include "only.h"
#include "views/space.h"

/* What guarded calls and calls of a portion cost, in R of ring 3: a bare exit of a vCPU of its own,
 * in turn with the calls. */
struct call_row {
    const char *name; /* "guard.call" */
    enum engine_kind engine;
    double r_us;
    double p50, p99; /* R; not of unguarded calls */
    double exits;    /* per call; of unguarded ones: without those of guarded calls */
    double kvm_runs;
    double other_ioctls;
};

struct call_figures {
    struct call_row row[ENGINE_KINDS * CALL_KINDS];
    size_t rows;
};

/* Those that --only asks for. -errno and a message. */
int call_figures_measure(struct call_figures *figures, const struct kvm *kvm, const char *device,
                         const char *images, const struct cli_words *only, unsigned int samples,
                         struct error *error);

/* --only asks for something of it; one of its words does. */
bool call_figures_asked(const struct cli_words *only);
bool call_figures_named(const char *word);

#endif
