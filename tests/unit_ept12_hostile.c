/* SPDX-License-Identifier: Apache-2.0 */
/* EPT12 of an L1 that wants to keep the root busy, to fill its memory or to confuse it. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "ept12_builder.h"
#include "runner.h"
#include "views/ept12.h"

#define L2            0x40201000ULL
#define L1            0x200000ULL
#define SECONDS_BOUND 5.0 /* a walk at its limit takes some 50 ms; sanitizers, slow machines */

static struct ept12_builder b;
static struct extent_table table;

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void setup(void)
{
    builder_create(&b);
    table = (struct extent_table){0};
}

static void finish(void)
{
    extent_table_destroy(&table);
    builder_destroy(&b);
}

static int walk(void)
{
    return ept12_walk(&table, &b.l1, b.eptp, NULL);
}

/* What holds for every table that a walk returns, whatever L1 does. */
static void check_table(void)
{
    uint64_t behind = 0;

    ck_assert_uint_le(table.count, EPT12_EXTENT_LIMIT);
    for (size_t i = 0; i < table.count; i++) {
        const struct extent *extent = &table.extent[i];

        ck_assert(extent->l2.value >= behind && extent->length > 0);
        ck_assert((extent->l2.value | extent->l1.value | extent->length) % PAGE_SIZE == 0);
        ck_assert(l1_contains(&b.l1, extent->l1, extent->length));
        ck_assert(extent->rights & MEZZ_EPT_READ && extent->rights <= MEZZ_EPT_RWX);
        behind = extent->l2.value + extent->length;
    }
    ck_assert_uint_le(behind, 1ULL << 48);
}

static void map_alternating(size_t count)
{
    for (uint64_t page = 0; page < count; page++)
        builder_map(&b, page * PAGE_SIZE, L1 + page * PAGE_SIZE,
                    page % 2 ? MEZZ_EPT_RWX : MEZZ_EPT_READ);
}

START_TEST(extent_limit)
{
    setup();
    map_alternating(EPT12_EXTENT_LIMIT);
    ck_assert_int_eq(walk(), 0);
    ck_assert_uint_eq(table.count, EPT12_EXTENT_LIMIT);
    check_table();
    map_alternating(EPT12_EXTENT_LIMIT + 1);
    ck_assert_int_eq(walk(), MEZZ_E_EPT_LIMIT);
    ck_assert_uint_eq(table.count, 0);
    finish();
}
END_TEST

/* Dirty flags alone never reach the limit: behind so many extents W is withheld. */
START_TEST(dirty_flags_split_so_far)
{
    const uint64_t pages = EPT12_EXTENT_LIMIT + 100;

    setup();
    for (uint64_t page = 0; page < pages; page++)
        builder_map(&b, page * PAGE_SIZE, L1 + page * PAGE_SIZE,
                    page % 2 ? MEZZ_EPT_RWX : MEZZ_EPT_RWX | MEZZ_EPT_DIRTY);
    ck_assert_int_eq(walk(), 0);
    ck_assert(!table.withheld);
    ck_assert_uint_eq(table.count, 1);
    ck_assert_int_eq(ept12_walk(&table, &b.l1, b.eptp | MEZZ_EPTP_DIRTY_FLAGS, NULL), 0);
    ck_assert(table.withheld);
    ck_assert_uint_eq(table.count, EPT12_TRACKED_LIMIT);
    ck_assert_uint_eq(table.extent[0].rights, MEZZ_EPT_RWX);
    ck_assert_uint_eq(table.extent[EPT12_TRACKED_LIMIT - 1].rights,
                      MEZZ_EPT_READ | MEZZ_EPT_EXECUTE);
    ck_assert_uint_eq(table.extent[EPT12_TRACKED_LIMIT - 1].l2.value +
                          table.extent[EPT12_TRACKED_LIMIT - 1].length,
                      pages * PAGE_SIZE);
    check_table();
    finish();
}
END_TEST

/* Fills a table with 512 entries that all lead to another. */
static void fill(uint64_t table_address, uint64_t entry)
{
    uint64_t *entries = l1_pointer(&b.l1, l1_at(table_address), PAGE_SIZE);

    for (unsigned int i = 0; i < MEZZ_EPT_ENTRIES; i++)
        entries[i] = entry;
}

/* A loop: the PML4 is also the PDPT, the PD and the page table. It cannot be valid: a leaf needs a
 * memory type, whose bits are reserved in an entry that leads to a table. */
START_TEST(table_that_leads_to_itself)
{
    setup();
    fill(BUILDER_TOP, BUILDER_TOP | MEZZ_EPT_RWX);
    ck_assert_int_eq(walk(), MEZZ_E_EPT_FORMAT);
    fill(BUILDER_TOP, BUILDER_TOP | MEZZ_EPT_RWX | MEZZ_EPT_WRITE_BACK);
    ck_assert_int_eq(walk(), MEZZ_E_EPT_FORMAT);
    finish();
}
END_TEST

/* Four tables, each 512 times in the one above; the last one empty, or all the same page. */
START_TEST(fan_out)
{
    static const uint64_t last[] = {0, BUILDER_LEAF | L1};
    const uint64_t pdpt = BUILDER_TOP + PAGE_SIZE;
    double start;

    setup();
    fill(BUILDER_TOP, pdpt | MEZZ_EPT_RWX);
    fill(pdpt, (pdpt + PAGE_SIZE) | MEZZ_EPT_RWX);
    fill(pdpt + PAGE_SIZE, (pdpt + 2 * PAGE_SIZE) | MEZZ_EPT_RWX);
    fill(pdpt + 2 * PAGE_SIZE, last[_i]);
    start = now();
    ck_assert_int_eq(walk(), MEZZ_E_EPT_LIMIT);
    ck_assert_double_lt(now() - start, SECONDS_BOUND);
    ck_assert_uint_eq(table.count, 0);
    finish();
}
END_TEST

/* The table limit is no obstacle to an honest L1: 2 GiB in 4 KiB pages, in one extent. */
START_TEST(all_of_memory_in_small_pages)
{
    setup();
    for (uint64_t address = 0; address < BUILDER_MEMORY; address += PAGE_SIZE)
        builder_map(&b, address, address, MEZZ_EPT_RWX);
    ck_assert_int_eq(walk(), 0);
    ck_assert_uint_eq(table.count, 1);
    ck_assert_uint_eq(table.extent[0].length, BUILDER_MEMORY);
    finish();
}
END_TEST

static uint64_t random_bits(void)
{
    return (uint64_t)mrand48() << 32 ^ (uint64_t)(uint32_t)mrand48();
}

/* An entry that is often nearly right. */
static uint64_t random_entry(void)
{
    uint64_t entry = (random_bits() % 64 + 1) * PAGE_SIZE | MEZZ_EPT_RWX;

    switch (random_bits() % 16) {
    case 0:
        return random_bits();
    case 1:
        return random_bits() & MEZZ_EPT_RWX;
    case 2:
        return entry | MEZZ_EPT_LEAF | MEZZ_EPT_WRITE_BACK;
    case 3:
    case 4:
        return entry & ~MEZZ_EPT_WRITE;
    case 5:
    case 6:
        return entry;
    case 7:
    case 8:
        return entry | MEZZ_EPT_WRITE_BACK;
    default:
        return 0;
    }
}

/* Random tables: nothing but valid extents or an error, and the lookup says the same. */
START_TEST(random_tables)
{
    unsigned int accepted = 0;

    setup();
    srand48(_i);
    for (unsigned int round = 0; round < 150; round++) {
        struct ept12_translation translation;

        for (unsigned int page = 1; page <= 64; page++)
            fill(page * PAGE_SIZE, 0);
        for (unsigned int n = 0; n < round; n++) {
            uint64_t *entries =
                l1_pointer(&b.l1, l1_at((random_bits() % 64 + 1) * PAGE_SIZE), 4096);

            entries[random_bits() % (n % 2 ? 512 : 4)] = random_entry();
        }
        accepted += walk() == 0;
        check_table();
        for (size_t i = 0; i < table.count; i++) {
            const struct extent *extent = &table.extent[i];
            const uint64_t offset = random_bits() % extent->length;

            ck_assert_int_eq(
                ept12_lookup(&translation, &b.l1, b.eptp, l2_at(extent->l2.value + offset), NULL),
                0);
            ck_assert_uint_eq(translation.rights, extent->rights);
            ck_assert_uint_eq(translation.l1.value, extent->l1.value + offset);
        }
        ept12_lookup(&translation, &b.l1, b.eptp, l2_at(random_bits() >> 16), NULL);
    }
    ck_assert_uint_gt(accepted, 5);
    finish();
}
END_TEST

struct flipper {
    uint64_t *entry;
    uint64_t value[2];
    atomic_bool stop;
};

static void *flip(void *context)
{
    struct flipper *flipper = context;

    for (unsigned int i = 0; !atomic_load_explicit(&flipper->stop, memory_order_relaxed); i++)
        __atomic_store_n(flipper->entry, flipper->value[i % 2], __ATOMIC_RELAXED);
    return NULL;
}

/* Another vCPU of L1 rewrites the entry all the time: it is either one or the other. On a busy
 * machine it may take a while until both were met. */
START_TEST(entry_that_changes_while_it_is_read)
{
    const unsigned int level = (unsigned int)_i + 1;
    struct flipper flipper = {0};
    unsigned int good = 0;
    unsigned int bad = 0;
    double start;
    pthread_t thread;

    setup();
    builder_map(&b, L2, L1, MEZZ_EPT_RWX);
    flipper.entry = builder_entry(&b, L2, level);
    flipper.value[0] = *flipper.entry;
    flipper.value[1] = *flipper.entry | (1ULL << 40);
    ck_assert_int_eq(pthread_create(&thread, NULL, flip, &flipper), 0);
    for (start = now(); now() - start < ((good > 0 && bad > 0) ? 0.2 : 60);) {
        const int code = walk();
        struct ept12_translation translation;

        ck_assert(code == 0 || code == MEZZ_E_EPT_ADDRESS);
        check_table();
        good += code == 0;
        bad += code != 0;
        if (ept12_lookup(&translation, &b.l1, b.eptp, l2_at(L2), NULL) == 0)
            ck_assert(l1_contains(&b.l1, translation.l1, 1));
    }
    atomic_store(&flipper.stop, true);
    pthread_join(thread, NULL);
    ck_assert_uint_gt(good, 0);
    ck_assert_uint_gt(bad, 0);
    finish();
}
END_TEST

RUN_CASES("ept12 hostile", 120, ONCE(extent_limit), ONCE(dirty_flags_split_so_far),
          ONCE(table_that_leads_to_itself), EACH(fan_out, 2), ONCE(all_of_memory_in_small_pages),
          EACH(random_tables, 8), EACH(entry_that_changes_while_it_is_read, 4))
