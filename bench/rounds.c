/* SPDX-License-Identifier: Apache-2.0 */
#include "rounds.h"
#include "host/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

/* The first cycles of a turn find another machine's state in the caches: those of a path are
 * counted, and none of them is timed. */
#define COLD_CYCLES    6U
#define WARM_UP_CYCLES 96U
#define SLOW_SHARE     8U

static int keep(struct series *series, double value, struct error *error)
{
    return series_add(series, value) == 0 ? 0 : error_set(error, ENOMEM, "out of memory");
}

static double median_of_last(const struct series *series, size_t first)
{
    const struct series last = {series->value + first, series->count - first, 0};

    return series_percentile(&last, 50);
}

static int bare_turn(struct bare *bare, struct series *ticks, unsigned int cycles, double *median,
                     struct error *error)
{
    size_t first = ticks->count;
    int code = 0;

    for (unsigned int i = 0; code == 0 && i < COLD_CYCLES; i++)
        code = bare_cycle(bare);
    for (unsigned int i = 0; code == 0 && i < cycles; i++) {
        uint64_t before = __rdtsc();

        code = bare_cycle(bare);
        if (code == 0)
            code = series_add(ticks, (double)(__rdtsc() - before));
    }
    if (code != 0)
        return error_set(error, -code, "R: %s", strerror(-code));
    *median = median_of_last(ticks, first);
    return 0;
}

/* The cycle that just ended; an L1 that has several L2s makes others between them. */
static bool is_own(const struct measurement *m, enum l1_mode before)
{
    return before == m->path->mode && subject_mode(&m->subject) == m->path->mode;
}

static int count_cycle(struct measurement *m, struct error *error)
{
    enum l1_mode before = subject_mode(&m->subject);
    struct subject_counts counts;
    bool interrupted;
    int code = subject_count_cycle(&m->subject, &counts, &interrupted, error);

    if (code != 0 || interrupted || !is_own(m, before))
        return code;
    m->counts.kvm_runs += counts.kvm_runs;
    m->counts.other_ioctls += counts.other_ioctls;
    m->counted++;
    return 0;
}

static int timed_cycles(struct measurement *m, unsigned int cycles, struct error *error)
{
    while (cycles > 0) {
        enum l1_mode before = subject_mode(&m->subject);
        uint64_t ticks;
        int code = subject_cycle(&m->subject, &ticks, error);

        if (code == 0 && is_own(m, before)) {
            code = keep(&m->ticks, (double)ticks, error);
            cycles--;
        }
        if (code != 0)
            return code;
    }
    return 0;
}

static int path_turn(struct measurement *m, unsigned int cycles, double *median,
                     struct error *error)
{
    size_t first = m->ticks.count;
    int code = subject_begin(&m->subject, error);

    if (code != 0)
        return code;
    for (unsigned int i = 0; code == 0 && i < COLD_CYCLES; i++)
        code = count_cycle(m, error);
    if (code == 0)
        code = timed_cycles(m, cycles, error);
    subject_end(&m->subject);
    if (code == 0)
        *median = median_of_last(&m->ticks, first);
    return code;
}

static int turn(struct rounds *rounds, struct measurement *m, unsigned int cycles,
                struct error *error)
{
    double r = 0;
    double own = 0;
    int kind = m->path->memory;
    int code = bare_turn(&rounds->bare[kind], &rounds->r[kind], cycles, &r, error);

    if (m->path->slow)
        cycles = cycles / SLOW_SHARE + 1;
    if (code == 0)
        code = path_turn(m, cycles, &own, error);
    if (code == 0)
        code = keep(&m->ratio, own / r, error);
    return code;
}

static int warm_up(struct measurement *m, struct error *error)
{
    unsigned int cycles = m->path->slow ? WARM_UP_CYCLES / SLOW_SHARE : WARM_UP_CYCLES;
    uint64_t ticks;
    int code = subject_begin(&m->subject, error);

    if (code != 0)
        return code;
    for (unsigned int i = 0; code == 0 && i < cycles; i++)
        code = subject_cycle(&m->subject, &ticks, error);
    subject_end(&m->subject);
    return code;
}

int rounds_run(struct rounds *rounds, const struct effort *effort, struct error *error)
{
    uint64_t start = clock_now_ns();
    uint64_t start_ticks = __rdtsc();
    int code = 0;

    for (size_t i = 0; code == 0 && i < rounds->count; i++)
        code = warm_up(&rounds->measurement[i], error);
    while (code == 0 && rounds->done < effort->rounds &&
           (rounds->done < effort->fewest_rounds || clock_now_ns() - start < effort->budget_ns)) {
        for (size_t i = 0; code == 0 && i < rounds->count; i++)
            code = turn(rounds, &rounds->measurement[i], effort->cycles, error);
        rounds->done++;
    }
    rounds->us_per_tick =
        (double)(clock_now_ns() - start) / 1000 / (double)(__rdtsc() - start_ticks);
    return code;
}

static int create_measurement(struct rounds *rounds, const struct path *path, const char *device,
                              const char *image, struct error *error)
{
    struct measurement *m = &rounds->measurement[rounds->count];
    int code;

    *m = (struct measurement){.path = path};
    code = subject_create(&m->subject, image, path->command_line, device, error);
    if (code != 0)
        return code;
    rounds->count++;
    return 0;
}

int rounds_create(struct rounds *rounds, const struct kvm *kvm, const char *device,
                  const char *image, const struct cli_words *only, struct error *error)
{
    char row[PATH_ROW];
    int code;

    *rounds = (struct rounds){.measurement = calloc(path_count, sizeof(struct measurement))};
    if (rounds->measurement == NULL)
        return error_set(error, ENOMEM, "out of memory");
    code = bare_create(&rounds->bare[0], kvm, false, error);
    if (code != 0)
        goto free_measurements;
    code = bare_create(&rounds->bare[1], kvm, true, error);
    if (code != 0)
        goto destroy_bare;
    for (size_t i = 0; code == 0 && i < path_count; i++) {
        path_row(&paths[i], row);
        if (only_asks(only, row))
            code = create_measurement(rounds, &paths[i], device, image, error);
    }
    if (code != 0)
        rounds_destroy(rounds);
    return code;

destroy_bare:
    bare_destroy(&rounds->bare[0]);
free_measurements:
    free(rounds->measurement);
    rounds->measurement = NULL;
    return code;
}

void rounds_destroy(struct rounds *rounds)
{
    if (rounds->measurement == NULL)
        return;
    for (size_t i = 0; i < rounds->count; i++) {
        subject_destroy(&rounds->measurement[i].subject);
        series_release(&rounds->measurement[i].ticks);
        series_release(&rounds->measurement[i].ratio);
    }
    for (size_t i = 0; i < 2; i++) {
        bare_destroy(&rounds->bare[i]);
        series_release(&rounds->r[i]);
    }
    free(rounds->measurement);
    rounds->measurement = NULL;
}

const struct measurement *rounds_find(const struct rounds *rounds, const char *group,
                                      const char *name)
{
    const struct path *path = &paths[path_index(group, name)];

    for (size_t i = 0; i < rounds->count; i++)
        if (rounds->measurement[i].path == path)
            return &rounds->measurement[i];
    return NULL;
}
