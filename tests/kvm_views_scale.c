/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner.h"
#include "views_guest.h"

/* Large views and many views: what they cost in time and memory is printed. Time is not asserted: a
 * slot waits for the host's kernel, which others keep busy. */

#define FAR           (64ULL << 20) /* guest-physical, behind the guest's own memory */
#define MANY_EXTENTS  8000U
#define MANY_VIEWS    64U
#define BUILD_SECONDS 0.5
#define TRIES         6
#define MEMORY_LIMIT  (100LL << 20)

static double slowness(void)
{
    const char *factor = getenv("CK_TIMEOUT_MULTIPLIER");

    return factor == NULL ? 1.0 : atof(factor);
}

/* What the host has for processes and their kernels' objects. */
static uint64_t memory_in_use(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    unsigned long long total = 0;
    unsigned long long available = 0;
    char line[128];

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        sscanf(line, "MemTotal: %llu", &total);
        sscanf(line, "MemAvailable: %llu", &available);
    }
    fclose(file);
    return (total - available) << 10;
}

/* Neighbours differ in their rights: no two pages are one extent. */
static void map_alternating(struct guest_views *guest, uint32_t view, uint32_t pages)
{
    for (uint32_t i = 0; i < pages; i++)
        guest_map(guest, view, FAR + i * PAGE_SIZE, GUEST_SPARE_L1 + i * PAGE_SIZE,
                  i % 2 ? MEZZ_EPT_RWX : MEZZ_EPT_READ | MEZZ_EPT_EXECUTE);
}

static double build(struct guest_views *guest, uint32_t view)
{
    const double begin = guest_seconds();

    guest_use_views(guest);
    guest_switch(guest, view, CARRY_GATE);
    return guest_seconds() - begin;
}

/* The best of a few. */
START_TEST(many_extents)
{
    const enum engine_kind engine = (enum engine_kind)_i;
    struct guest_views guest;
    double best = 1e9;
    double begin;
    uint32_t view = 0;

    for (int i = 0; i < TRIES && best > BUILD_SECONDS * slowness(); i++) {
        double seconds;

        if (i > 0)
            guest_destroy(&guest);
        guest_create(&guest, engine);
        view = guest_add_view(&guest);
        map_alternating(&guest, view, MANY_EXTENTS);
        seconds = build(&guest, view);
        best = seconds < best ? seconds : best;
    }
    ck_assert_uint_ge(space_view_extents(guest.vcpu.view)->count, MANY_EXTENTS);
    printf("%s: a view with %zu extents: %.0f ms\n", engine_name(engine),
           space_view_extents(guest.vcpu.view)->count, best * 1e3);
    /* One page less: by difference. */
    guest_map(&guest, view, FAR + PAGE_SIZE, 0, 0);
    space_invept(guest.space, guest.eptp[view]);
    begin = guest_seconds();
    ck_assert_int_eq(view_vcpu_prepare(&guest.vcpu, NULL), 0);
    view_vcpu_after(&guest.vcpu);
    printf("%s: read again, with one page less: %.1f ms\n", engine_name(engine),
           (guest_seconds() - begin) * 1e3);
    guest_destroy(&guest);
}
END_TEST

/* Work that takes long is left undone when what it is for is over, and can be done after all. */
START_TEST(left_undone)
{
    struct guest_views guest;
    uint32_t view;

    guest_create(&guest, (enum engine_kind)_i);
    view = guest_add_view(&guest);
    map_alternating(&guest, view, MANY_EXTENTS);
    guest_use_views(&guest);
    guest.over = true;
    ck_assert_int_eq(view_vcpu_switch(&guest.vcpu, view, CARRY_GATE, NULL), -EINTR);
    guest.over = false;
    ck_assert_int_eq(view_vcpu_switch(&guest.vcpu, view, CARRY_GATE, NULL), 0);
    ck_assert_uint_ge(space_view_extents(guest.vcpu.view)->count, MANY_EXTENTS);
    guest_destroy(&guest);
}
END_TEST

/* What the host has less, bytes. */
static int64_t memory_of_views(enum engine_kind engine)
{
    struct guest_views guest;
    uint64_t before;
    int64_t used;

    guest_create(&guest, engine);
    guest_use_views(&guest);
    for (uint64_t at = GUEST_DATA; at < GUEST_MEMORY; at += PAGE_SIZE)
        *guest_at(&guest, at) = at;
    guest_load(&guest, 3, GUEST_DATA);
    for (uint32_t view = 1; view < MANY_VIEWS; view++) {
        guest_add_view(&guest);
        guest_map(&guest, view, GUEST_DATA + view * PAGE_SIZE, GUEST_SPARE_L1 + view * PAGE_SIZE,
                  MEZZ_EPT_RWX);
    }
    before = memory_in_use();
    guest_use_views(&guest);
    for (uint32_t view = 0; view < MANY_VIEWS; view++) {
        guest_switch(&guest, view, CARRY_GATE);
        for (uint64_t at = GUEST_DATA; at < GUEST_MEMORY; at += 16 * PAGE_SIZE)
            guest_load(&guest, 3, at);
    }
    used = (int64_t)(memory_in_use() - before);
    guest_destroy(&guest);
    return used;
}

/* Others take memory and give it back meanwhile: twice the promise is the limit, and of a few runs
 * it is enough that one keeps it. */
START_TEST(many_views)
{
    const enum engine_kind engine = (enum engine_kind)_i;
    int64_t used = INT64_MAX;

    for (int tries = 0; tries < 3 && used >= 2 * MEMORY_LIMIT; tries++) {
        used = memory_of_views(engine);
        printf("%s: %u views of 16 MiB: %.1f MiB\n", engine_name(engine), MANY_VIEWS,
               (double)used / (1 << 20));
    }
    ck_assert_int_lt(used, 2 * MEMORY_LIMIT);
}
END_TEST

RUN_CASES_IF(guest_obstacle, "views: scale", 120, EACH(many_extents, ENGINE_KINDS),
             EACH(left_undone, ENGINE_KINDS), EACH(many_views, ENGINE_KINDS))
