/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_VIEW_FIGURES_H
#define BENCH_VIEW_FIGURES_H

#include "host_memory.h"
#include "statistics.h"
#include "views/host_traits.h"

/* What views cost: switches of each engine, and making views. */

struct view_row {
    enum engine_kind engine;
    unsigned int ring;
    uint32_t views;
    uint32_t pages;            /* that differ */
    double r_us;               /* a bare exit of the same guest, in turn with the switches */
    double gate_p50, gate_p99; /* R */
    double forced_p50, forced_p99;
    /* Of each kind: as many as were asked for, or as the time for a row was enough for; 0: the kind
     * is not measured. */
    uint32_t gate_rounds, forced_rounds;
};

/* Bare vCPUs that run in turn on one thread: what the host takes for the change alone. R is one of
 * them alone. */
struct view_floor {
    unsigned int ring;
    uint32_t vcpus;
    /* Each brings all its registers along, is given general ones, and on a processor that walks
     * page tables an empty TLB, and has a page of memory of its own: what no flip can be without.
     * Otherwise nothing is handed over, and all have the same memory. */
    bool handed;
    double r_us;
    double p50, p99; /* R */
};

struct view_build {
    enum engine_kind engine;
    uint32_t extents;
    double ms; /* from the EPTP to a vCPU that can run; the best of a few */
    struct host_memory_figure memory;
};

struct view_memory {
    enum engine_kind engine;
    /* 64 views of 16 MiB, all of it read in each, beyond what the first one takes. */
    struct host_memory_figure memory;
};

#define VIEW_ROWS   64U
#define VIEW_FLOORS 8U

struct view_figures {
    bool known;
    struct host_traits host;
    struct view_floor floor[VIEW_FLOORS];
    size_t floors;
    struct view_row row[VIEW_ROWS];
    size_t rows;
    struct view_build build[9];
    size_t builds;
    struct view_memory memory[ENGINE_KINDS];
    size_t memories;
};

struct view_effort {
    bool gate[ENGINE_KINDS]; /* switches at the gate */
    bool forced;             /* forced ones, of each engine */
    bool all;      /* every number of pages and views; otherwise two views that differ in a page */
    bool building; /* the build times, the memory */
    bool told;     /* how far it is goes to stderr */
    unsigned int rounds;        /* of each switch */
    unsigned int fewest_rounds; /* also when the time is over */
    double budget_us;           /* of each switch */
};

/* -errno and a message. */
int view_figures_measure(struct view_figures *figures, const struct kvm *kvm,
                         const struct view_effort *effort, struct error *error);

/* view_floor.c: adds the rows for so many vCPUs, of each ring, with nothing handed over and with.
 * figures->host is known. */
int view_floor_measure(struct view_figures *figures, const struct kvm *kvm, uint32_t vcpus,
                       unsigned int samples, struct error *error);

#endif
