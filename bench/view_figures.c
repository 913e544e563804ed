/* SPDX-License-Identifier: Apache-2.0 */
#include "view_figures.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "view_guest.h"

#define BUILD_TRIES  3
#define MEMORY_TRIES 3 /* on a host where others take and give memory meanwhile */

static const struct {
    uint32_t views;
    uint32_t pages;
} sizes[] = {{2, 1}, {2, 8}, {2, 64}, {2, 512}, {2, 4096}, {8, 1}, {64, 1}};

static const uint32_t extents[] = {1, 1000, 8000};
static const unsigned int rings[] = {0, 3};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int timed(struct view_guest *guest, int64_t view, enum view_carry carry,
                 struct series *series)
{
    const double begin = now_us();
    int code = view_guest_step(guest, view, carry);

    return code != 0 ? code : series_add(series, now_us() - begin);
}

/* Each view runs twice in the ring, and is gone to by the gate once: the first time it has to ask
 * KVM for registers that it brings along from then on. */
static int warm_up(struct view_guest *guest, unsigned int ring)
{
    int code = 0;

    for (uint32_t view = 0; view < guest->views && code == 0; view++) {
        code = view_vcpu_switch(&guest->vcpu, view, CARRY_ALL, NULL);
        view_guest_start(guest, ring);
        for (int i = 0; i < 2 && code == 0; i++)
            code = view_guest_step(guest, -1, CARRY_GATE);
    }
    for (uint32_t view = 0; view <= guest->views && code == 0; view++) {
        code = view_guest_step(guest, view % guest->views, CARRY_GATE);
        if (code == 0)
            code = view_guest_step(guest, -1, CARRY_GATE);
    }
    return code;
}

/* Each switch right after a bare exit. */
static int sample(struct view_guest *guest, enum view_carry carry, const struct view_effort *effort,
                  struct series *bare, struct series *switched)
{
    const double end = now_us() + effort->budget_us;
    int code = 0;

    for (unsigned int i = 0; i < effort->rounds && code == 0; i++) {
        if (i >= effort->fewest_rounds && now_us() >= end)
            break;
        code = timed(guest, -1, carry, bare);
        if (code == 0)
            code = timed(guest, (guest->vcpu.index + 1) % guest->views, carry, switched);
    }
    return code;
}

struct carry_figures {
    double r_us, p50, p99;
    uint32_t rounds;
};

static int measure_carry(struct view_guest *guest, enum view_carry carry,
                         const struct view_effort *effort, struct carry_figures *figures)
{
    struct series bare = {.value = NULL};
    struct series switched = {.value = NULL};
    int code = sample(guest, carry, effort, &bare, &switched);
    const double r = series_percentile(&bare, 50);

    *figures =
        (struct carry_figures){r, series_percentile(&switched, 50) / r,
                               series_percentile(&switched, 99) / r, (uint32_t)switched.count};
    series_release(&bare);
    series_release(&switched);
    return code;
}

static int explain(int code, const char *what, struct error *error)
{
    if (code == 0)
        return 0;
    return error_set(error, -code, "views: %s: %s", what, strerror(-code));
}

static int measure_ring(struct view_guest *guest, struct view_row *row,
                        const struct view_effort *effort)
{
    struct carry_figures gate = {0}, forced = {0};
    int code = warm_up(guest, row->ring);

    if (code == 0 && effort->gate[row->engine])
        code = measure_carry(guest, CARRY_GATE, effort, &gate);
    if (code == 0 && effort->forced)
        code = measure_carry(guest, CARRY_ALL, effort, &forced);
    if (code != 0)
        return code;
    row->r_us = gate.rounds > 0 ? gate.r_us : forced.r_us;
    row->gate_p50 = gate.p50;
    row->gate_p99 = gate.p99;
    row->gate_rounds = gate.rounds;
    row->forced_p50 = forced.p50;
    row->forced_p99 = forced.p99;
    row->forced_rounds = forced.rounds;
    return 0;
}

static int measure_switches(struct view_figures *figures, const struct kvm *kvm,
                            enum engine_kind engine, size_t size, const struct view_effort *effort,
                            struct error *error)
{
    struct view_guest guest;
    const uint32_t views = sizes[size].views;
    const uint32_t pages = sizes[size].pages;
    int code = view_guest_create(&guest, kvm, &figures->host, engine, views, pages, error);

    if (code != 0)
        return code;
    for (size_t i = 0; i < COUNT(rings) && code == 0; i++) {
        struct view_row row = {.engine = engine, .ring = rings[i], .views = views, .pages = pages};

        code = measure_ring(&guest, &row, effort);
        if (code == 0 && figures->rows < VIEW_ROWS)
            figures->row[figures->rows++] = row;
    }
    view_guest_destroy(&guest);
    return explain(code, engine_name(engine), error);
}

static int build_once(struct view_figures *figures, const struct kvm *kvm, struct view_build *build,
                      struct error *error)
{
    struct host_memory memory;
    struct host_memory_figure figure;
    struct view_guest guest;
    uint64_t eptp;
    double begin;
    int code;

    host_memory_start(&memory);
    code = view_guest_create(&guest, kvm, &figures->host, build->engine, 1, 1, error);

    if (code != 0)
        return code;
    view_guest_start(&guest, 0);
    code = view_guest_add_extents(&guest, build->extents, &eptp);
    host_memory_before(&memory);
    begin = now_us();
    if (code == 0)
        code = view_vcpu_use(&guest.vcpu, eptp, CARRY_GATE, NULL);
    if (code == 0) {
        const double ms = (now_us() - begin) / 1e3;

        host_memory_after(&memory);
        if (build->ms == 0 || ms < build->ms)
            build->ms = ms;
    }
    view_guest_destroy(&guest);
    figure = host_memory_end(&memory);
    if (figure.known)
        build->memory = figure;
    return explain(code, "a view of 64 MiB", error);
}

static int measure_builds(struct view_figures *figures, const struct kvm *kvm,
                          enum engine_kind engine, const struct view_effort *effort,
                          struct error *error)
{
    int code = 0;

    for (size_t i = 0; i < COUNT(extents) && code == 0; i++) {
        struct view_build build = {.engine = engine, .extents = extents[i]};
        const double end = now_us() + effort->budget_us;

        for (int tries = 0; tries < BUILD_TRIES && code == 0; tries++)
            if (tries == 0 || now_us() < end)
                code = build_once(figures, kvm, &build, error);
        if (code == 0)
            figures->build[figures->builds++] = build;
    }
    return code;
}

static int measure_memory_once(struct view_figures *figures, const struct kvm *kvm,
                               struct view_memory *result, struct error *error)
{
    struct host_memory memory;
    struct view_guest guest;
    int code;

    host_memory_start(&memory);
    code =
        view_guest_create(&guest, kvm, &figures->host, result->engine, VIEW_GUEST_VIEWS, 1, error);
    if (code != 0)
        return code;
    view_guest_start(&guest, 3);
    for (uint32_t view = 0; view < VIEW_GUEST_VIEWS && code == 0; view++) {
        code = view_guest_step(&guest, view, CARRY_ALL);
        if (code == 0)
            code = view_guest_read_all(&guest);
        if (view == 0)
            host_memory_before(&memory);
    }
    host_memory_after(&memory);
    view_guest_destroy(&guest);
    result->memory = host_memory_end(&memory);
    return explain(code, "64 views", error);
}

static int measure_memory(struct view_figures *figures, const struct kvm *kvm,
                          enum engine_kind engine, struct error *error)
{
    struct view_memory result = {.engine = engine};
    int code = 0;

    for (int tries = 0; tries < MEMORY_TRIES && code == 0 && !result.memory.known; tries++)
        code = measure_memory_once(figures, kvm, &result, error);
    if (code == 0)
        figures->memory[figures->memories++] = result;
    return code;
}

/* A line when something is done: the whole takes minutes. */
__attribute__((format(printf, 3, 4))) static void tell(const struct view_effort *effort,
                                                       double *since, const char *format, ...)
{
    const double now = now_us();
    char what[80];
    va_list arguments;

    if (effort->told) {
        va_start(arguments, format);
        vsnprintf(what, sizeof(what), format, arguments);
        va_end(arguments);
        fprintf(stderr, "views: %s: %.1f s\n", what, (now - *since) / 1e6);
    }
    *since = now;
}

static int measure_floors(struct view_figures *figures, const struct kvm *kvm,
                          const struct view_effort *effort, struct error *error)
{
    static const uint32_t vcpus[] = {2, VIEW_GUEST_VIEWS};
    double since = now_us();
    int code = 0;

    for (size_t i = 0; i < (effort->all ? COUNT(vcpus) : 1) && code == 0; i++) {
        code = view_floor_measure(figures, kvm, vcpus[i], effort->rounds, error);
        tell(effort, &since, "%u bare vCPUs", vcpus[i]);
    }
    return code;
}

static int measure_engine(struct view_figures *figures, const struct kvm *kvm,
                          enum engine_kind engine, const struct view_effort *effort,
                          struct error *error)
{
    const char *name = engine_name(engine);
    double since = now_us();
    int code = 0;

    if (!effort->gate[engine] && !effort->forced)
        return 0;
    for (size_t i = 0; i < (effort->all ? COUNT(sizes) : 1) && code == 0; i++) {
        code = measure_switches(figures, kvm, engine, i, effort, error);
        tell(effort, &since, "%s, %u views, %u pages", name, sizes[i].views, sizes[i].pages);
    }
    if (code != 0 || !effort->building)
        return code;
    code = measure_builds(figures, kvm, engine, effort, error);
    tell(effort, &since, "%s, building", name);
    if (code == 0)
        code = measure_memory(figures, kvm, engine, error);
    tell(effort, &since, "%s, memory of %u views", name, VIEW_GUEST_VIEWS);
    return code;
}

int view_figures_measure(struct view_figures *figures, const struct kvm *kvm,
                         const struct view_effort *effort, struct error *error)
{
    int code;

    *figures = (struct view_figures){.rows = 0};
    code = host_traits_probe(kvm, &figures->host, error);
    if (code == 0)
        code = measure_floors(figures, kvm, effort, error);
    for (int engine = 0; engine < ENGINE_KINDS && code == 0; engine++)
        code = measure_engine(figures, kvm, (enum engine_kind)engine, effort, error);
    figures->known = code == 0;
    return code;
}
