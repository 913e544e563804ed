/* SPDX-License-Identifier: Apache-2.0 */
/* Dirty flags in EPT12, and leaves that the root altered before L1 knows of it. */
#include <errno.h>

#include "ept12_builder.h"
#include "runner.h"
#include "views/ept12.h"
#include "views/ept12_edits.h"

#define R    MEZZ_EPT_READ
#define W    MEZZ_EPT_WRITE
#define X    MEZZ_EPT_EXECUTE
#define RWX  MEZZ_EPT_RWX

#define L2   0x40201000ULL
#define L1   0x200000ULL
#define COPY 0x300000ULL

static struct ept12_builder b;
static struct extent_table table;
static struct ept12_edits edits;
static struct ept12_kept kept;

static void setup(void)
{
    kept = (struct ept12_kept){0};
    builder_create(&b);
    table = (struct extent_table){0};
    edits = (struct ept12_edits){0};
}

static void finish(void)
{
    ept12_edits_destroy(&edits);
    extent_table_destroy(&table);
    builder_destroy(&b);
}

/* The walk and the lookup agree: one page at L2. */
static void leads_to(uint64_t l1, uint64_t length, uint64_t rights)
{
    struct ept12_translation translation;

    ck_assert_int_eq(ept12_walk_edited(&table, &b.l1, b.eptp, &edits, NULL, NULL), 0);
    ck_assert_uint_eq(table.count, 1);
    ck_assert_uint_eq(table.extent[0].l1.value, l1);
    ck_assert_uint_eq(table.extent[0].length, length);
    ck_assert_uint_eq(table.extent[0].rights, rights);
    ck_assert_int_eq(
        ept12_lookup_edited(&translation, &b.l1, b.eptp, table.extent[0].l2, &edits, NULL), 0);
    ck_assert_uint_eq(translation.l1.value, l1);
    ck_assert_uint_eq(translation.rights, rights);
    ck_assert_uint_eq(translation.page_size, length);
    for (uint64_t at = 0; at < 16; at += 8)
        ck_assert_uint_eq(
            ept12_rights(&kept, &b.l1, b.eptp, l2_at(table.extent[0].l2.value + at), &edits),
            rights);
}

static const struct {
    uint64_t eptp_flag, leaf, rights;
} dirty_table[] = {
    /* the flags off: dirty or not, as it says */
    {0, RWX, RWX},
    {0, RWX | MEZZ_EPT_DIRTY, RWX},
    {0, R | W, R | W},
    /* on: a first write is the root's to see */
    {MEZZ_EPTP_DIRTY_FLAGS, RWX, R | X},
    {MEZZ_EPTP_DIRTY_FLAGS, RWX | MEZZ_EPT_ACCESSED, R | X},
    {MEZZ_EPTP_DIRTY_FLAGS, RWX | MEZZ_EPT_DIRTY, RWX},
    {MEZZ_EPTP_DIRTY_FLAGS, R | W, R},
    {MEZZ_EPTP_DIRTY_FLAGS, R | W | MEZZ_EPT_DIRTY, R | W},
    {MEZZ_EPTP_DIRTY_FLAGS, R | X, R | X},
    /* and never gives a right that the leaf has not */
    {MEZZ_EPTP_DIRTY_FLAGS, R | X | MEZZ_EPT_DIRTY, R | X},
};

START_TEST(dirty_flags)
{
    setup();
    builder_map(&b, L2, L1, dirty_table[_i].leaf);
    b.eptp |= dirty_table[_i].eptp_flag;
    leads_to(L1, PAGE_SIZE, dirty_table[_i].rights);
    finish();
}
END_TEST

/* `to` is used while memory says `from`, and is over when L1 put anything there. */
START_TEST(edit)
{
    const uint64_t from = L1 | R | X | MEZZ_EPT_WRITE_BACK | MEZZ_EPT_COPY_ON_WRITE;
    const uint64_t to = COPY | BUILDER_LEAF;

    setup();
    *builder_entry(&b, L2, 1) = from;
    leads_to(L1, PAGE_SIZE, R | X);
    ck_assert_int_eq(ept12_edits_add(&edits, l2_at(L2), from, to), 0);
    ck_assert_uint_eq(edits.untold, 1);
    leads_to(COPY, PAGE_SIZE, RWX);
    leads_to(COPY, PAGE_SIZE, RWX);
    ck_assert_uint_eq(edits.count, 1);
    *builder_entry(&b, L2, 1) = to;
    leads_to(COPY, PAGE_SIZE, RWX);
    ck_assert_uint_eq(edits.count, 0);
    ck_assert_uint_eq(edits.untold, 0);
    *builder_entry(&b, L2, 1) = from;
    leads_to(L1, PAGE_SIZE, R | X);
    finish();
}
END_TEST

/* The tables above the leaf still have their say. */
START_TEST(edit_under_a_narrower_table)
{
    const uint64_t from = L1 | R | X | MEZZ_EPT_WRITE_BACK;

    setup();
    *builder_entry(&b, L2, 1) = from;
    *builder_entry(&b, L2, 3) &= ~W;
    ck_assert_int_eq(ept12_edits_add(&edits, l2_at(L2), from, COPY | BUILDER_LEAF), 0);
    leads_to(COPY, PAGE_SIZE, R | X);
    finish();
}
END_TEST

/* In a PTE bit 7 is ignored, so one entry can be a page of 4 KiB and, moved to a table of another
 * level, one of 2 MiB or 1 GiB. What the root made of the small page must not become a large one
 * that begins or ends where L1 has no memory. */
START_TEST(edit_that_moves_to_another_level)
{
    const unsigned int level = (unsigned int)_i + 2;
    const uint64_t from = R | X | MEZZ_EPT_WRITE_BACK | MEZZ_EPT_LEAF;
    const uint64_t frame = (1ULL << 30) + 0x5000;

    setup();
    b.l1.size = (1ULL << 30) + (512ULL << 20);
    *builder_entry(&b, 0, 1) = from;
    ck_assert_int_eq(ept12_edits_add(&edits, l2_at(0), from, frame | BUILDER_LEAF), 0);
    leads_to(frame, PAGE_SIZE, RWX);
    *builder_entry(&b, 0, level) = from;
    leads_to(0, builder_span(level), R | X);
    ck_assert_uint_eq(edits.count, 0);
    finish();
}
END_TEST

/* A page that is altered twice before L1 hears of it: one record from first to last. */
START_TEST(two_edits_of_one_page)
{
    const uint64_t from = L1 | BUILDER_LEAF;
    const uint64_t second = from | MEZZ_EPT_DIRTY;

    setup();
    ck_assert_int_eq(ept12_edits_add(&edits, l2_at(L2), from, second), 0);
    ck_assert_int_eq(ept12_edits_add(&edits, l2_at(L2), second, COPY | BUILDER_LEAF), 0);
    ck_assert_uint_eq(edits.count, 1);
    ck_assert_uint_eq(edits.untold, 1);
    ck_assert_uint_eq(edits.edit[0].from, from);
    ck_assert_uint_eq(edits.edit[0].to, COPY | BUILDER_LEAF);
    finish();
}
END_TEST

START_TEST(many_edits)
{
    setup();
    /* Not in the order of their addresses. */
    for (uint64_t i = 0; i < 1000; i++) {
        const uint64_t page = i * 7 % 1000 * PAGE_SIZE;

        builder_map(&b, page, page, R | X);
        ck_assert_int_eq(ept12_edits_add(&edits, l2_at(page), *builder_entry(&b, page, 1),
                                         *builder_entry(&b, page, 1) | W),
                         0);
    }
    for (uint64_t i = 0; i < 1000; i++)
        ck_assert_uint_eq(ept12_edits_find(&edits, l2_at(i * PAGE_SIZE))->l2.value, i * PAGE_SIZE);
    ck_assert_ptr_null(ept12_edits_find(&edits, l2_at(1000 * PAGE_SIZE)));
    ck_assert_int_eq(ept12_walk_edited(&table, &b.l1, b.eptp, &edits, NULL, NULL), 0);
    ck_assert_uint_eq(table.count, 1);
    ck_assert_uint_eq(table.extent[0].length, 1000 * PAGE_SIZE);
    ck_assert_uint_eq(table.extent[0].rights, RWX);
    ck_assert_uint_eq(edits.untold, 1000);
    edits.edit[10].told = true;
    edits.untold--;
    ept12_edits_forget_told(&edits);
    ck_assert_uint_eq(edits.count, 999);
    ck_assert_uint_eq(edits.untold, 999);
    ck_assert_ptr_null(ept12_edits_find(&edits, l2_at(10 * PAGE_SIZE)));
    finish();
}
END_TEST

static uint64_t rights_of(uint64_t l2)
{
    struct ept12_translation translation = {0};
    const int code = ept12_lookup_edited(&translation, &b.l1, b.eptp, l2_at(l2), &edits, NULL);
    const uint32_t now = ept12_rights(&kept, &b.l1, b.eptp, l2_at(l2), &edits);

    ck_assert_uint_eq(now, code == 0 ? translation.rights : 0);
    ck_assert_uint_eq(ept12_rights(&kept, &b.l1, b.eptp, l2_at(l2), &edits), now);
    return now;
}

/* What is kept is given up when an entry of any level says another thing, also of a page that is
 * not there. */
START_TEST(kept_rights)
{
    setup();
    ck_assert_uint_eq(rights_of(L2), 0);
    builder_map(&b, L2, L1, RWX);
    ck_assert_uint_eq(rights_of(L2), RWX);
    ck_assert_uint_eq(rights_of(L2 + PAGE_SIZE), 0);
    for (unsigned int level = 1; level <= 4; level++) {
        uint64_t *entry = builder_entry(&b, L2, level);

        ck_assert_uint_eq(rights_of(L2), RWX);
        *entry &= ~(uint64_t)W;
        ck_assert_uint_eq(rights_of(L2), R | X);
        *entry &= ~(uint64_t)R; /* no such rights */
        ck_assert_uint_eq(rights_of(L2), 0);
        *entry |= RWX;
    }
    ck_assert_uint_eq(rights_of(L2), RWX);
    b.eptp |= MEZZ_EPTP_DIRTY_FLAGS;
    ck_assert_uint_eq(rights_of(L2), R | X);
    ck_assert_uint_eq(rights_of(1ULL << 50), 0);
    finish();
}
END_TEST

/* Over when it was asked so often. */
static bool is_over(void *context)
{
    unsigned int *left = context;

    return (*left)-- == 0;
}

/* 513 tables: it is asked at the first and at every 64th. */
START_TEST(time_is_over)
{
    unsigned int left = 8;
    const struct ept12_until until = {is_over, &left};

    setup();
    for (uint64_t i = 0; i < 512; i++)
        *builder_entry(&b, L2 + i * LARGE_PAGE_SIZE, 1) = L1 | BUILDER_LEAF;
    ck_assert_int_eq(ept12_edits_add(&edits, l2_at(L2), L1 | BUILDER_LEAF, COPY | BUILDER_LEAF), 0);
    ck_assert_int_eq(ept12_walk_edited(&table, &b.l1, b.eptp, &edits, &until, NULL), -EINTR);
    ck_assert_uint_eq(table.count, 0);
    ck_assert_uint_eq(edits.count, 1);
    left = UINT32_MAX;
    ck_assert_int_eq(ept12_walk_edited(&table, &b.l1, b.eptp, &edits, &until, NULL), 0);
    ck_assert_uint_eq(table.count, 512);
    ck_assert_uint_ge(UINT32_MAX - left, 8);
    ck_assert_uint_eq(table.extent[0].l1.value, COPY);
    finish();
}
END_TEST

RUN_CASES("ept12 edits", 60, EACH(dirty_flags, ELEMENTS(dirty_table)), ONCE(edit),
          ONCE(edit_under_a_narrower_table), EACH(edit_that_moves_to_another_level, 2),
          ONCE(two_edits_of_one_page), ONCE(many_edits), ONCE(kept_rights), ONCE(time_is_over))
