/* SPDX-License-Identifier: Apache-2.0 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runner.h"
#include "views_guest.h"

/*
 * What a switch costs, in R: the median of a bare exit round trip of the same guest, measured in
 * turn with the switches. Printed, never asserted. VIEWS_SAMPLES: how many of each (500).
 */

#define FAR      (64ULL << 20) /* guest-physical, behind the guest's own memory */
#define FAR_STEP (16ULL << 20) /* L1 memory of each view for it */
#define TOUCHED  GUEST_DATA

struct figures {
    double r; /* microseconds */
    double p50, p99;
};

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double part(double *values, unsigned int count, unsigned int percent)
{
    qsort(values, count, sizeof(*values), compare);
    return values[count * percent / 100];
}

static unsigned int samples(void)
{
    const char *text = getenv("VIEWS_SAMPLES");
    int count = text == NULL ? 500 : atoi(text);

    return count < 10 ? 10 : (unsigned int)count;
}

/* Every second page of the far region differs, so that no two are one extent; the page that the
 * guest reads differs, too. */
static void create(struct guest_views *guest, enum engine_kind engine, uint32_t views,
                   uint32_t differing)
{
    guest_create(guest, engine);
    for (uint32_t view = 0; view < views; view++) {
        const uint64_t l1 = GUEST_SPARE_L1 + (view % 64) * FAR_STEP;

        if (view > 0)
            guest_add_view(guest);
        guest_map(guest, view, TOUCHED, l1, MEZZ_EPT_RWX);
        for (uint32_t i = 1; i < differing; i++)
            guest_map(guest, view, FAR + 2ULL * i * PAGE_SIZE, l1 + i * PAGE_SIZE, MEZZ_EPT_RWX);
    }
    guest_use_views(guest);
}

static double once(struct guest_views *guest, int64_t view, enum view_carry carry)
{
    const double begin = guest_seconds();

    if (view >= 0)
        guest_switch(guest, (uint32_t)view, carry);
    guest_step(&guest->vcpu);
    return (guest_seconds() - begin) * 1e6;
}

static void measure(struct guest_views *guest, unsigned int ring, enum view_carry carry,
                    unsigned int count, struct figures *figures)
{
    const struct guest_run what = {.code = CODE_LOOP, .ring = ring, .rbx = TOUCHED};
    double *bare = calloc(count, sizeof(*bare));
    double *switched = calloc(count, sizeof(*switched));

    ck_assert(bare != NULL && switched != NULL);
    for (uint32_t view = 0; view < guest->views; view++) {
        guest_switch(guest, view, CARRY_ALL);
        guest_start(&guest->vcpu, &what);
        guest_step(&guest->vcpu);
        guest_step(&guest->vcpu);
    }
    for (unsigned int i = 0; i < count; i++) {
        bare[i] = once(guest, -1, carry);
        switched[i] = once(guest, (int64_t)(i % guest->views), carry);
    }
    figures->r = part(bare, count, 50);
    figures->p50 = part(switched, count, 50) / figures->r;
    figures->p99 = part(switched, count, 99) / figures->r;
    free(bare);
    free(switched);
}

static const struct {
    uint32_t views;
    uint32_t differing;
} sizes[] = {{2, 1}, {2, 8}, {2, 64}, {2, 512}, {2, 4096}, {8, 1}, {64, 1}};

START_TEST(switch_cost)
{
    const enum engine_kind engine = (enum engine_kind)((unsigned int)_i / ELEMENTS(sizes));
    const uint32_t views = sizes[(unsigned int)_i % ELEMENTS(sizes)].views;
    const uint32_t differing = sizes[(unsigned int)_i % ELEMENTS(sizes)].differing;
    const unsigned int count = engine == ENGINE_FLIP || differing <= 8 ? samples() : 30;
    struct guest_views guest;

    create(&guest, engine, views, differing);
    for (unsigned int ring = 0; ring <= 3; ring += 3) {
        struct figures gate;
        struct figures forced;

        measure(&guest, ring, CARRY_GATE, count, &gate);
        measure(&guest, ring, CARRY_ALL, count, &forced);
        printf("%-5s ring %u  %2u views %4u pages  R %6.1f us  gate %6.2f R (p99 %6.2f)  "
               "forced %6.2f R\n",
               engine_name(engine), ring, views, differing, gate.r, gate.p50, gate.p99, forced.p50);
        fflush(stdout);
    }
    guest_destroy(&guest);
}
END_TEST

START_TEST(host)
{
    struct guest_views guest;
    const char *why;
    enum engine_kind engine;

    guest_create(&guest, ENGINE_SLOTS);
    engine = engine_choose(&guest.host, &why);
    printf("engine %s: %s\npaging %s, dirty ring %u, logs each write %d, flushes on request %d\n",
           engine_name(engine), why, paging_name(guest.host.paging.kind), guest.host.ring_entries,
           guest.host.logs_each_write, guest.host.flushes_on_request);
    guest_destroy(&guest);
}
END_TEST

/* A switch after which the sibling has to be told of pages that ring 0 wrote. */
START_TEST(sync_cost)
{
    struct guest_run what = {.code = CODE_WRITE, .ring = 0};
    struct guest_views guest;
    const unsigned int count = samples();
    double *told = calloc(count, sizeof(*told));
    double *quiet = calloc(count, sizeof(*quiet));

    ck_assert(told != NULL && quiet != NULL);
    create(&guest, ENGINE_FLIP, 2, 1);
    for (unsigned int pages = 1; pages <= 64; pages *= 8) {
        for (unsigned int i = 0; i < count; i++) {
            for (unsigned int page = 0; page < pages; page++)
                space_wrote(guest.space, l2_at((1ULL << 20) + page * 2 * PAGE_SIZE), 8);
            what.rbx = TOUCHED + 64;
            guest_start(&guest.vcpu, &what);
            told[i] = once(&guest, i % 2, CARRY_GATE);
            guest_start(&guest.vcpu, &what);
            quiet[i] = once(&guest, -1, CARRY_GATE);
        }
        printf("flip: %2u pages written by others: %.1f us more\n", pages,
               part(told, count, 50) - part(quiet, count, 50));
    }
    free(told);
    free(quiet);
    guest_destroy(&guest);
}
END_TEST

/* A thread that moves to another processor takes 64 vCPUs along. */
static const char *obstacle(void)
{
    cpu_set_t first;

    CPU_ZERO(&first);
    CPU_SET(0, &first);
    sched_setaffinity(0, sizeof(first), &first);
    return guest_obstacle();
}

RUN_CASES_IF(obstacle, "views: figures", 300, ONCE(host), ONCE(sync_cost),
             EACH(switch_cost, ELEMENTS(sizes) * ENGINE_KINDS))
