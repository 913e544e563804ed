/* SPDX-License-Identifier: Apache-2.0 */
/* L1's EPT12 tables, and the records that it applies to them and to its VMCS12. */
#include <string.h>

#include "lib/ept.h"
#include "lib/machine.h"
#include "lib/sync.h"
#include "lib/views.h"
#include "runner.h"

#define PAGE        4096ULL
#define LARGE       EPT_LARGE_SIZE
#define GIB         (1ULL << 30)
#define ARENA_PAGES 64
#define L1_AT       0x40000000ULL

static struct arena arena;
static struct ept ept;

/* Tables are real memory; what they lead to is only numbers. */
static void setup(unsigned int pages)
{
    static uint8_t memory[ARENA_PAGES * PAGE] __attribute__((aligned(PAGE)));

    memset(memory, 0, sizeof(memory));
    arena = (struct arena){.next = address_of(memory), .end = address_of(memory) + pages * PAGE};
    ck_assert(ept_init(&ept, &arena));
}

static bool map(uint64_t l2, uint64_t l1, uint64_t size)
{
    return ept_map(&ept, l2, l1, size, EPT_ALL_RIGHTS);
}

/* The address leads to l1 by a leaf of this size. */
static void leads(uint64_t l2, uint64_t l1, uint64_t size)
{
    const uint64_t *leaf = ept_leaf(&ept, l2);
    uint64_t flags = EPT_ALL_RIGHTS | (size == LARGE ? MEZZ_EPT_LEAF : 0);

    ck_assert_ptr_nonnull(leaf);
    ck_assert_uint_eq(*leaf, (l1 & ~(size - 1)) | flags);
}

/* Each count of leaves that the filling loop takes in blocks, with its neighbours untouched. */
static const uint64_t counts[] = {1, 2, 15, 16, 17, 31, 33, 511, 512, 513, 1024, 1500};

/* A view that is another one but for two pages. */
START_TEST(views_that_differ)
{
    struct views views;
    struct ept second;

    setup(ARENA_PAGES);
    ck_assert(map(0, L1_AT, 2 * LARGE));
    ck_assert(map(2 * LARGE + PAGE, L1_AT + LARGE, 3 * PAGE));
    ck_assert(ept_copy(&second, &ept));
    ck_assert_uint_ne(second.root, ept.root);
    ck_assert(ept_set_page(&second, LARGE + 5 * PAGE, (L1_AT + 9 * LARGE) | MEZZ_EPT_READ));
    ck_assert(ept_set_page(&second, 2 * LARGE + PAGE, 0));
    /* The first one is what it was. */
    leads(LARGE + 5 * PAGE, L1_AT + LARGE, LARGE);
    leads(2 * LARGE + PAGE, L1_AT + LARGE, PAGE);
    ck_assert_uint_eq(*ept_leaf(&second, LARGE + 5 * PAGE), (L1_AT + 9 * LARGE) | MEZZ_EPT_READ);
    ck_assert_ptr_null(ept_leaf(&second, 2 * LARGE + PAGE));
    ept = second;
    leads(0, L1_AT, LARGE);
    leads(LARGE, L1_AT + LARGE, PAGE);
    leads(LARGE + 4 * PAGE, L1_AT + LARGE + 4 * PAGE, PAGE);
    leads(LARGE + 511 * PAGE, L1_AT + LARGE + 511 * PAGE, PAGE);
    leads(2 * LARGE + 2 * PAGE, L1_AT + LARGE + PAGE, PAGE);
    /* One that has nothing yet. */
    ck_assert(ept_set_page(&ept, GIB, L1_AT | EPT_ALL_RIGHTS));
    leads(GIB, L1_AT, PAGE);
    ck_assert(views_init(&views, &arena));
    for (uint32_t i = 0; i < MEZZ_MAX_VIEWS; i++)
        ck_assert(views_add(&views, &ept, i % 2 ? MEZZ_EPTP_DIRTY_FLAGS : 0));
    ck_assert(!views_add(&views, &ept, 0));
    ck_assert_uint_eq(views_eptp(&views, 0), MEZZ_EPTP(ept.root));
    ck_assert_uint_eq(views_eptp(&views, 511), MEZZ_EPTP(ept.root) | MEZZ_EPTP_DIRTY_FLAGS);
}
END_TEST

/* Whatever the arena is short of. */
START_TEST(views_without_memory)
{
    const unsigned int pages = 4 + (unsigned int)_i;
    struct views views;
    struct ept second;

    setup(pages);
    ck_assert(map(0, L1_AT, LARGE + PAGE));
    ck_assert(!(ept_copy(&second, &ept) && ept_set_page(&second, 0, L1_AT) &&
                views_init(&views, &arena)));
}
END_TEST

START_TEST(small_pages)
{
    uint64_t first = 3;

    setup(ARENA_PAGES);
    ck_assert(map(first * PAGE, L1_AT + PAGE, counts[_i] * PAGE));
    ck_assert_ptr_null(ept_leaf(&ept, (first - 1) * PAGE));
    ck_assert_ptr_null(ept_leaf(&ept, (first + counts[_i]) * PAGE));
    for (uint64_t i = 0; i < counts[_i]; i++)
        leads((first + i) * PAGE + i % PAGE, L1_AT + (1 + i) * PAGE, PAGE);
}
END_TEST

/* Large leaves where both addresses and what is left allow them. */
START_TEST(large_pages)
{
    setup(ARENA_PAGES);
    ck_assert(map(LARGE - PAGE, L1_AT - PAGE, PAGE + 2 * LARGE + PAGE));
    leads(LARGE - PAGE, L1_AT - PAGE, PAGE);
    leads(LARGE, L1_AT, LARGE);
    leads(3 * LARGE - 1, L1_AT + 2 * LARGE - 1, LARGE);
    leads(3 * LARGE, L1_AT + 2 * LARGE, PAGE);
    ck_assert_ptr_null(ept_leaf(&ept, 3 * LARGE + PAGE));
    ck_assert_ptr_null(ept_leaf(&ept, 4 * LARGE));
}
END_TEST

START_TEST(across_tables)
{
    setup(ARENA_PAGES);
    ck_assert(map(GIB - LARGE, L1_AT, 2 * LARGE));
    leads(GIB - 1, L1_AT + LARGE - 1, LARGE);
    leads(GIB, L1_AT + LARGE, LARGE);
    ck_assert(map(512 * GIB - PAGE, L1_AT, 2 * PAGE));
    leads(512 * GIB - PAGE, L1_AT, PAGE);
    leads(512 * GIB, L1_AT + PAGE, PAGE);
    ck_assert_ptr_null(ept_leaf(&ept, 511 * GIB));
}
END_TEST

START_TEST(copied_pages_are_small)
{
    setup(ARENA_PAGES);
    ck_assert(ept_map(&ept, 0, L1_AT, LARGE, EPT_COPIED_WHEN_WRITTEN));
    for (uint64_t l2 = 0; l2 < LARGE; l2 += PAGE)
        ck_assert_uint_eq(*ept_leaf(&ept, l2), (L1_AT + l2) | EPT_COPIED_WHEN_WRITTEN);
}
END_TEST

/* As many tables as the arena has pages, and no write behind them. */
START_TEST(arena_ends)
{
    struct ept none;

    setup(1);
    ck_assert(!ept_init(&none, &arena));
    ck_assert(!map(0, L1_AT, PAGE));
    setup(3);
    ck_assert(!map(0, L1_AT, PAGE));
    ck_assert(map(0, L1_AT, 0));
    setup(4);
    ck_assert(map(0, L1_AT, PAGE));
    ck_assert(!map(LARGE, L1_AT, PAGE));
    leads(0, L1_AT, PAGE);
}
END_TEST

START_TEST(dirty_bytes)
{
    setup(ARENA_PAGES);
    ck_assert(map(0, L1_AT, 3 * PAGE));
    ck_assert(map(2 * LARGE, L1_AT + LARGE, LARGE));
    ck_assert_uint_eq(ept_dirty_bytes(&ept, 4 * LARGE), 0);
    *ept_leaf(&ept, PAGE) |= MEZZ_EPT_DIRTY;
    ck_assert_uint_eq(ept_dirty_bytes(&ept, 4 * LARGE), PAGE);
    *ept_leaf(&ept, 2 * LARGE) |= MEZZ_EPT_DIRTY;
    ck_assert_uint_eq(ept_dirty_bytes(&ept, 4 * LARGE), PAGE + LARGE);
    ck_assert_uint_eq(ept_dirty_bytes(&ept, 2 * LARGE), PAGE);
}
END_TEST

static struct mezz_vmcs12 vmcs;

static bool apply(uint32_t object, uint64_t key, uint64_t from, uint64_t to)
{
    const struct mezz_sync_record record = {.object = object, .key = key, .from = from, .to = to};

    return sync_apply(&vmcs, &ept, &record, 1);
}

START_TEST(vmcs_records)
{
    vmcs.clean = MEZZ_GROUPS_LOADED;
    ck_assert(apply(MEZZ_SYNC_VMCS, MEZZ_VMCS12_FIELD(regs.guest_rip), 1, 0x123456789abcULL));
    ck_assert_uint_eq(vmcs.regs.guest_rip, 0x123456789abcULL);
    vmcs.events.activity_state = 7;
    ck_assert(
        apply(MEZZ_SYNC_VMCS, MEZZ_VMCS12_FIELD(events.interruptibility_state), 0, 0xffffffff1ULL));
    ck_assert_uint_eq(vmcs.events.interruptibility_state, 0xfffffff1);
    ck_assert_uint_eq(vmcs.events.activity_state, 7);
    ck_assert(apply(MEZZ_SYNC_VMCS, MEZZ_VMCS12_FIELD(system.segment[MEZZ_CS].selector), 0, 0x18));
    ck_assert_uint_eq(vmcs.system.segment[MEZZ_CS].selector, 0x18);
    ck_assert_uint_eq(vmcs.clean, MEZZ_GROUPS_LOADED);
}
END_TEST

#define KEY(offset, width) ((uint64_t)(offset) | (uint64_t)(width) << 16)

/* What is no field: nothing is written. */
static const uint64_t bad_keys[] = {
    KEY(160, 0),
    KEY(160, 1),
    KEY(160, 3),
    KEY(164, 8),
    KEY(161, 4),
    KEY(159, 2),
    KEY(offsetof(struct mezz_vmcs12, reserved3) - 4, 4),
    KEY(4096, 8),
    KEY(0xfff8, 8),
    KEY(offsetof(struct mezz_vmcs12, sync), 4),
};

START_TEST(bad_records)
{
    static const struct mezz_vmcs12 zero;

    ck_assert(!apply(MEZZ_SYNC_VMCS, bad_keys[_i], 0, UINT64_MAX));
    ck_assert(!apply(0, 160, 0, UINT64_MAX));
    ck_assert(!apply(3, 160, 0, UINT64_MAX));
    ck_assert_int_eq(memcmp(&vmcs, &zero, sizeof(vmcs)), 0);
}
END_TEST

START_TEST(ept_records)
{
    uint64_t was, dirty;

    setup(ARENA_PAGES);
    ck_assert(map(0, L1_AT, 2 * PAGE));
    was = *ept_leaf(&ept, PAGE);
    dirty = was | MEZZ_EPT_DIRTY | MEZZ_EPT_ACCESSED;
    ck_assert(apply(MEZZ_SYNC_EPT, PAGE, was, dirty));
    ck_assert_uint_eq(*ept_leaf(&ept, PAGE), dirty);
    ck_assert_uint_eq(*ept_leaf(&ept, 0), L1_AT | EPT_ALL_RIGHTS);
    /* L1 has been there meanwhile, and meant it; or there is nothing. */
    ck_assert(apply(MEZZ_SYNC_EPT, PAGE, was, was | MEZZ_EPT_ACCESSED));
    ck_assert_uint_eq(*ept_leaf(&ept, PAGE), dirty);
    ck_assert(apply(MEZZ_SYNC_EPT, LARGE, 0, dirty));
    ck_assert_ptr_null(ept_leaf(&ept, LARGE));
}
END_TEST

/* Those before the bad one are applied, those behind it are not. */
START_TEST(records_in_order)
{
    const struct mezz_sync_record records[] = {
        {.object = MEZZ_SYNC_VMCS, .key = MEZZ_VMCS12_FIELD(regs.guest_rip), .to = 1},
        {.object = MEZZ_SYNC_VMCS, .key = MEZZ_VMCS12_FIELD(regs.guest_rip), .to = 2},
        {.object = 9},
        {.object = MEZZ_SYNC_VMCS, .key = MEZZ_VMCS12_FIELD(regs.guest_rip), .to = 3},
    };

    ck_assert(sync_apply(&vmcs, &ept, records, 0));
    ck_assert_uint_eq(vmcs.regs.guest_rip, 0);
    ck_assert(!sync_apply(&vmcs, &ept, records, ELEMENTS(records)));
    ck_assert_uint_eq(vmcs.regs.guest_rip, 2);
}
END_TEST

RUN_CASES("l1_ept", 30, EACH(small_pages, ELEMENTS(counts)), ONCE(large_pages), ONCE(across_tables),
          ONCE(copied_pages_are_small), ONCE(arena_ends), ONCE(dirty_bytes), ONCE(vmcs_records),
          EACH(bad_records, ELEMENTS(bad_keys)), ONCE(ept_records), ONCE(records_in_order),
          ONCE(views_that_differ), EACH(views_without_memory, 6))
