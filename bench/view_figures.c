/* SPDX-License-Identifier: Apache-2.0 */
#include "view_figures.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "view_guest.h"

#define FEW         30U /* samples where a switch takes many R */
#define BUILD_TRIES 3

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

/* Each switch right after a bare exit; before that, each view runs twice. */
static int sample(struct view_guest *guest, unsigned int ring, enum view_carry carry,
                  unsigned int count, struct series *bare, struct series *switched)
{
    int code = 0;

    for (uint32_t view = 0; view < guest->views && code == 0; view++) {
        code = view_vcpu_switch(&guest->vcpu, view, CARRY_ALL, NULL);
        view_guest_start(guest, ring);
        for (int i = 0; i < 2 && code == 0; i++)
            code = view_guest_step(guest, -1, carry);
    }
    for (unsigned int i = 0; i < count && code == 0; i++) {
        code = timed(guest, -1, carry, bare);
        if (code == 0)
            code = timed(guest, i % guest->views, carry, switched);
    }
    return code;
}

static int measure_carry(struct view_guest *guest, unsigned int ring, enum view_carry carry,
                         unsigned int count, double *r, double *p50, double *p99)
{
    struct series bare = {.value = NULL};
    struct series switched = {.value = NULL};
    int code = sample(guest, ring, carry, count, &bare, &switched);

    *r = series_percentile(&bare, 50);
    *p50 = series_percentile(&switched, 50) / *r;
    *p99 = series_percentile(&switched, 99) / *r;
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

static int measure_switches(struct view_figures *figures, const struct kvm *kvm,
                            enum engine_kind engine, size_t size, unsigned int samples,
                            struct error *error)
{
    struct view_guest guest;
    const uint32_t views = sizes[size].views;
    const uint32_t pages = sizes[size].pages;
    const unsigned int count = engine == ENGINE_FLIP || pages <= 8 ? samples : FEW;
    int code = view_guest_create(&guest, kvm, &figures->host, engine, views, pages, error);

    if (code != 0)
        return code;
    for (size_t i = 0; i < COUNT(rings) && code == 0; i++) {
        struct view_row row = {engine, rings[i], views, pages, 0, 0, 0, 0, 0};
        double ignored;

        code = measure_carry(&guest, rings[i], CARRY_GATE, count, &row.r_us, &row.gate_p50,
                             &row.gate_p99);
        if (code == 0)
            code = measure_carry(&guest, rings[i], CARRY_ALL, count, &ignored, &row.forced_p50,
                                 &row.forced_p99);
        if (code == 0 && figures->rows < VIEW_ROWS)
            figures->row[figures->rows++] = row;
    }
    view_guest_destroy(&guest);
    return explain(code, engine_name(engine), error);
}

/* What the host has for processes and their kernels' objects, in KiB. */
static double memory_in_use(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    unsigned long long total = 0;
    unsigned long long available = 0;
    char line[128];

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        sscanf(line, "MemTotal: %llu", &total);
        sscanf(line, "MemAvailable: %llu", &available);
    }
    if (file != NULL)
        fclose(file);
    return (double)(total - available);
}

static int build_once(struct view_figures *figures, const struct kvm *kvm, struct view_build *build,
                      struct error *error)
{
    struct view_guest guest;
    uint64_t eptp;
    double before, begin;
    int code = view_guest_create(&guest, kvm, &figures->host, build->engine, 1, 1, error);

    if (code != 0)
        return code;
    view_guest_start(&guest, 0);
    code = view_guest_add_extents(&guest, build->extents, &eptp);
    before = memory_in_use();
    begin = now_us();
    if (code == 0)
        code = view_vcpu_use(&guest.vcpu, eptp, CARRY_GATE, NULL);
    if (code == 0) {
        const double ms = (now_us() - begin) / 1e3;

        if (build->ms == 0 || ms < build->ms) {
            build->ms = ms;
            build->memory_kb = memory_in_use() - before;
        }
    }
    view_guest_destroy(&guest);
    return explain(code, "a view of 64 MiB", error);
}

static int measure_builds(struct view_figures *figures, const struct kvm *kvm,
                          enum engine_kind engine, struct error *error)
{
    int code = 0;

    for (size_t i = 0; i < COUNT(extents) && code == 0; i++) {
        struct view_build build = {engine, extents[i], 0, 0};

        for (int tries = 0; tries < BUILD_TRIES && code == 0; tries++)
            code = build_once(figures, kvm, &build, error);
        if (code == 0)
            figures->build[figures->builds++] = build;
    }
    return code;
}

static int measure_memory(struct view_figures *figures, const struct kvm *kvm,
                          enum engine_kind engine, struct error *error)
{
    struct view_guest guest;
    double one = 0;
    int code = view_guest_create(&guest, kvm, &figures->host, engine, VIEW_GUEST_VIEWS, 1, error);

    if (code != 0)
        return code;
    view_guest_start(&guest, 3);
    for (uint32_t view = 0; view < VIEW_GUEST_VIEWS && code == 0; view++) {
        code = view_guest_step(&guest, view, CARRY_ALL);
        if (code == 0)
            code = view_guest_read_all(&guest);
        if (view == 0)
            one = memory_in_use();
    }
    if (code == 0)
        figures->memory[figures->memories++] =
            (struct view_memory){engine, (memory_in_use() - one) / 1024};
    view_guest_destroy(&guest);
    return explain(code, "64 views", error);
}

int view_figures_measure(struct view_figures *figures, const struct kvm *kvm, bool all,
                         unsigned int samples, struct error *error)
{
    int code;

    *figures = (struct view_figures){.rows = 0};
    code = host_traits_probe(kvm, &figures->host, error);
    if (code == 0)
        code = view_floor_measure(figures, kvm, 2, samples, error);
    if (code == 0 && all)
        code = view_floor_measure(figures, kvm, VIEW_GUEST_VIEWS, samples, error);
    for (int engine = 0; engine < ENGINE_KINDS && code == 0; engine++)
        for (size_t i = 0; i < (all ? COUNT(sizes) : 1) && code == 0; i++)
            code = measure_switches(figures, kvm, (enum engine_kind)engine, i, samples, error);
    for (int engine = 0; engine < ENGINE_KINDS && all && code == 0; engine++) {
        code = measure_builds(figures, kvm, (enum engine_kind)engine, error);
        if (code == 0)
            code = measure_memory(figures, kvm, (enum engine_kind)engine, error);
    }
    figures->known = code == 0;
    return code;
}
