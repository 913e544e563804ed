/* SPDX-License-Identifier: Apache-2.0 */
/* What EPT12 may say, as truth tables; and what comes of it: extents and translations. */
#include "views/ept12.h"

#include "ept12_builder.h"
#include "runner.h"

#define R   MEZZ_EPT_READ
#define W   MEZZ_EPT_WRITE
#define X   MEZZ_EPT_EXECUTE
#define RWX MEZZ_EPT_RWX

#define L2  0x40201000ULL /* no index on the way is 0 */
#define L1  0x200000ULL

static struct ept12_builder b;
static struct extent_table table;

static int walk(void)
{
    return ept12_walk(&table, &b.l1, b.eptp, NULL);
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

static int lookup(uint64_t l2, struct ept12_translation *translation)
{
    return ept12_lookup(translation, &b.l1, b.eptp, l2_at(l2), NULL);
}

/* The walk's and the lookup's verdict on the entries on the way to L2, which must agree. */
static void expect(int code)
{
    struct ept12_translation translation;

    ck_assert_int_eq(walk(), code);
    ck_assert_int_eq(lookup(L2, &translation), code);
    if (code)
        ck_assert_uint_eq(table.count, 0);
}

static void expect_extent(size_t index, uint64_t l2, uint64_t l1, uint64_t length, uint64_t rights)
{
    ck_assert_uint_lt(index, table.count);
    ck_assert_uint_eq(table.extent[index].l2.value, l2);
    ck_assert_uint_eq(table.extent[index].l1.value, l1);
    ck_assert_uint_eq(table.extent[index].length, length);
    ck_assert_uint_eq(table.extent[index].rights, rights);
}

static const struct {
    uint64_t rights;
    int code;
    const char *text;
} rights_table[] = {
    /* --- */ {0, 0, "---"},
    /* r-- */ {R, 0, "r--"},
    /* -w- */ {W, MEZZ_E_EPT_ACCESS, "-w-"},
    /* rw- */ {R | W, 0, "rw-"},
    /* --x */ {X, MEZZ_E_UNSUPPORTED, "--x"},
    /* r-x */ {R | X, 0, "r-x"},
    /* -wx */ {W | X, MEZZ_E_EPT_ACCESS, "-wx"},
    /* rwx */ {R | W | X, 0, "rwx"},
};

/* Each combination in the entry of each level, the others RWX. */
START_TEST(rights_at_each_level)
{
    const unsigned int level = (unsigned int)_i % 4 + 1;
    const uint64_t rights = rights_table[_i / 4].rights;
    struct ept12_translation translation;
    uint64_t *entry;

    setup();
    builder_map(&b, L2, L1, RWX);
    entry = builder_entry(&b, L2, level);
    *entry = (*entry & ~RWX) | rights;
    expect(rights_table[_i / 4].code);
    ck_assert_str_eq(ept12_rights_text((uint32_t)rights), rights_table[_i / 4].text);
    if (rights_table[_i / 4].code == 0) {
        ck_assert_uint_eq(table.count, rights ? 1 : 0);
        ck_assert_int_eq(lookup(L2, &translation), 0);
        ck_assert_uint_eq(translation.rights, rights);
        ck_assert_uint_eq(translation.page_size, builder_span(rights ? 1 : level));
        if (rights)
            expect_extent(0, L2, L1, PAGE_SIZE, rights);
    }
    finish();
}
END_TEST

/* Rights of two levels are what both allow. */
START_TEST(rights_of_levels_together)
{
    static const uint64_t allowed[] = {R, R | W, R | X, RWX};
    const uint64_t upper = allowed[_i / 4];
    const uint64_t lower = allowed[_i % 4];

    setup();
    builder_map(&b, L2, L1, lower);
    *builder_entry(&b, L2, 3) = (*builder_entry(&b, L2, 3) & ~RWX) | upper;
    expect(0);
    expect_extent(0, L2, L1, PAGE_SIZE, upper & lower);
    finish();
}
END_TEST

START_TEST(eptp_bits)
{
    const uint64_t bit = 1ULL << _i;
    struct ept12_translation translation;

    setup();
    builder_map(&b, L2, L1, RWX);
    b.eptp ^= bit;
    if (bit == MEZZ_EPTP_DIRTY_FLAGS) {
        ck_assert_int_eq(walk(), lookup(L2, &translation)); /* whether the root has them or not */
    } else if (bit <= MEZZ_EPTP_LOW_MASK || (bit & ~MEZZ_EPT_ADDRESS)) {
        expect(MEZZ_E_EPT_FORMAT);
    } else if (bit >= BUILDER_MEMORY) {
        expect(MEZZ_E_EPT_ADDRESS);
    } else {
        walk(); /* another table of this memory: empty, but for those of the builder */
    }
    finish();
}
END_TEST

START_TEST(eptp_at_the_end_of_memory)
{
    struct ept12_fault fault = {0};

    setup();
    b.eptp = MEZZ_EPTP(BUILDER_MEMORY - PAGE_SIZE);
    expect(0);
    ck_assert_uint_eq(table.count, 0);
    b.eptp = MEZZ_EPTP(BUILDER_MEMORY);
    expect(MEZZ_E_EPT_ADDRESS);
    ck_assert_int_eq(ept12_walk(&table, &b.l1, b.eptp, &fault), MEZZ_E_EPT_ADDRESS);
    ck_assert_uint_eq(fault.entry, b.eptp);
    ck_assert_uint_eq(fault.level, 0);
    finish();
}
END_TEST

/* Bits of a table entry: 7:3 reserved (7 means a leaf in PDPTE and PDE), others of no meaning. */
START_TEST(table_entry_bits)
{
    static const unsigned int ignored[] = {8, 9, 10, 11, 52, 55, 60, 63};
    const unsigned int level = (unsigned int)_i + 2;

    setup();
    builder_map(&b, L2, L1, RWX);
    for (unsigned int bit = 3; bit <= 7; bit++) {
        *builder_entry(&b, L2, level) ^= 1ULL << bit;
        expect(MEZZ_E_EPT_FORMAT);
        *builder_entry(&b, L2, level) ^= 1ULL << bit;
    }
    for (size_t i = 0; i < ELEMENTS(ignored); i++)
        *builder_entry(&b, L2, level) |= 1ULL << ignored[i];
    expect(0);
    expect_extent(0, L2, L1, PAGE_SIZE, RWX);
    finish();
}
END_TEST

/* Only write-back; the ignore-PAT bit and what is ignored do not matter. */
START_TEST(leaf_bits)
{
    static const unsigned int ignored[] = {6, 8, 9, 10, 11, 52, 57, 62, 63};
    const unsigned int level = (unsigned int)_i + 1;
    const uint64_t l2 = L2 & ~(builder_span(level) - 1);
    const uint64_t leaf = BUILDER_LEAF | (level == 1 ? 0 : MEZZ_EPT_LEAF);

    setup();
    for (uint64_t type = 0; type < 8; type++) {
        *builder_entry(&b, L2, level) = (leaf & ~MEZZ_EPT_MEMORY_TYPE) | type << 3;
        expect(type == 6 ? 0 : MEZZ_E_EPT_FORMAT);
    }
    *builder_entry(&b, L2, level) = leaf | (level == 1 ? MEZZ_EPT_LEAF : 0);
    for (size_t i = 0; i < ELEMENTS(ignored); i++)
        *builder_entry(&b, L2, level) |= 1ULL << ignored[i];
    expect(0);
    expect_extent(0, l2, 0, builder_span(level), RWX);
    for (unsigned int bit = 12; builder_span(level) >> (bit + 1); bit++) {
        *builder_entry(&b, L2, level) = leaf | 1ULL << bit;
        expect(MEZZ_E_EPT_FORMAT);
    }
    finish();
}
END_TEST

START_TEST(no_512_gib_leaf)
{
    setup();
    *builder_entry(&b, L2, 4) = BUILDER_LEAF | MEZZ_EPT_LEAF;
    expect(MEZZ_E_EPT_FORMAT);
    finish();
}
END_TEST

START_TEST(other_bits_of_an_absent_entry)
{
    setup();
    *builder_entry(&b, L2, (unsigned int)_i + 1) = ~RWX;
    expect(0);
    ck_assert_uint_eq(table.count, 0);
    finish();
}
END_TEST

/* The last place in memory for a page or a table of each level, and the first outside. */
START_TEST(addresses)
{
    const unsigned int level = (unsigned int)_i + 1;
    const uint64_t leaf = BUILDER_LEAF | (level == 1 ? 0 : MEZZ_EPT_LEAF);
    struct ept12_fault fault = {0};

    setup();
    if (level < 4) {
        *builder_entry(&b, L2, level) = leaf | (BUILDER_MEMORY - builder_span(level));
        expect(0);
        *builder_entry(&b, L2, level) = leaf | BUILDER_MEMORY;
        expect(MEZZ_E_EPT_ADDRESS);
        *builder_entry(&b, L2, level) = leaf | (MEZZ_EPT_ADDRESS & ~(builder_span(level) - 1));
        expect(MEZZ_E_EPT_ADDRESS);
    }
    if (level > 1) {
        *builder_entry(&b, L2, level) = RWX | (BUILDER_MEMORY - PAGE_SIZE);
        expect(0);
        *builder_entry(&b, L2, level) = RWX | BUILDER_MEMORY;
        expect(MEZZ_E_EPT_ADDRESS);
        *builder_entry(&b, L2, level) = RWX | MEZZ_EPT_ADDRESS;
        expect(MEZZ_E_EPT_ADDRESS);
    }
    ck_assert_int_eq(ept12_walk(&table, &b.l1, b.eptp, &fault), MEZZ_E_EPT_ADDRESS);
    ck_assert_uint_eq(fault.level, level);
    ck_assert_uint_eq(fault.l2.value, L2 & ~(builder_span(level) - 1));
    ck_assert_uint_eq(fault.entry, *builder_entry(&b, L2, level));
    finish();
}
END_TEST

/* A large leaf must lie in memory as a whole. */
START_TEST(large_leaf_half_outside)
{
    setup();
    b.l1.size = BUILDER_MEMORY - PAGE_SIZE;
    *builder_entry(&b, L2, 2) = BUILDER_LEAF | MEZZ_EPT_LEAF | (BUILDER_MEMORY - LARGE_PAGE_SIZE);
    expect(MEZZ_E_EPT_ADDRESS);
    finish();
}
END_TEST

static const struct {
    const char *what;
    uint64_t l2, l1, rights; /* of a page after one that maps L2 to L1, r-x */
    size_t extents;
} neighbours[] = {
    {"joined", L2 + PAGE_SIZE, L1 + PAGE_SIZE, R | X, 1},
    {"other rights", L2 + PAGE_SIZE, L1 + PAGE_SIZE, RWX, 2},
    {"a gap in L1", L2 + PAGE_SIZE, L1 + 2 * PAGE_SIZE, R | X, 2},
    {"backwards in L1", L2 + PAGE_SIZE, L1 - PAGE_SIZE, R | X, 2},
    {"the same page", L2 + PAGE_SIZE, L1, R | X, 2},
    {"a gap in L2", L2 + 2 * PAGE_SIZE, L1 + PAGE_SIZE, R | X, 2},
    {"before, joined", L2 - PAGE_SIZE, L1 - PAGE_SIZE, R | X, 1},
};

START_TEST(coalescing)
{
    setup();
    builder_map(&b, L2, L1, R | X);
    builder_map(&b, neighbours[_i].l2, neighbours[_i].l1, neighbours[_i].rights);
    expect(0);
    ck_assert_msg(table.count == neighbours[_i].extents, "%s: %zu", neighbours[_i].what,
                  table.count);
    finish();
}
END_TEST

/* 4 KiB pages, then a 2 MiB leaf, then 4 KiB: one run across tables and leaf sizes. */
START_TEST(coalescing_across_sizes)
{
    setup();
    for (uint64_t offset = 0; offset < LARGE_PAGE_SIZE; offset += PAGE_SIZE)
        builder_map(&b, offset, LARGE_PAGE_SIZE + offset, RWX);
    *builder_entry(&b, LARGE_PAGE_SIZE, 2) = BUILDER_LEAF | MEZZ_EPT_LEAF | 2 * LARGE_PAGE_SIZE;
    builder_map(&b, 2 * LARGE_PAGE_SIZE, 3 * LARGE_PAGE_SIZE, RWX);
    ck_assert_int_eq(walk(), 0);
    ck_assert_uint_eq(table.count, 1);
    expect_extent(0, 0, LARGE_PAGE_SIZE, 2 * LARGE_PAGE_SIZE + PAGE_SIZE, RWX);
    finish();
}
END_TEST

START_TEST(first_and_last_page_of_l2)
{
    const uint64_t last = (1ULL << 48) - PAGE_SIZE;
    struct ept12_translation translation;

    setup();
    builder_map(&b, 0, L1, R);
    builder_map(&b, last, 0, RWX);
    ck_assert_int_eq(walk(), 0);
    ck_assert_uint_eq(table.count, 2);
    expect_extent(0, 0, L1, PAGE_SIZE, R);
    expect_extent(1, last, 0, PAGE_SIZE, RWX);
    ck_assert_int_eq(lookup(last + 5, &translation), 0);
    ck_assert_uint_eq(translation.rights, RWX);
    ck_assert_uint_eq(translation.l1.value, 5);
    ck_assert_int_eq(lookup(1ULL << 48, &translation), 0);
    ck_assert_uint_eq(translation.rights, 0);
    ck_assert_int_eq(lookup(~0ULL, &translation), 0);
    ck_assert_uint_eq(translation.rights, 0);
    finish();
}
END_TEST

/* The offset within the page is kept for each page size. */
START_TEST(lookup_offset)
{
    const unsigned int level = (unsigned int)_i + 1;
    const uint64_t leaf = BUILDER_LEAF | (level == 1 ? 0 : MEZZ_EPT_LEAF);
    const uint64_t address = L2 & ~(builder_span(level) - 1);
    struct ept12_translation translation;

    setup();
    *builder_entry(&b, L2, level) = leaf | builder_span(level);
    ck_assert_int_eq(lookup(address + builder_span(level) - 1, &translation), 0);
    ck_assert_uint_eq(translation.l1.value, 2 * builder_span(level) - 1);
    ck_assert_uint_eq(translation.page_size, builder_span(level));
    ck_assert_uint_eq(translation.rights, RWX);
    finish();
}
END_TEST

START_TEST(find)
{
    setup();
    ck_assert_ptr_null(extent_table_find(&table, l2_at(0)));
    for (uint64_t page = 1; page < 2000; page += 2)
        builder_map(&b, page * PAGE_SIZE, page * PAGE_SIZE, RWX);
    ck_assert_int_eq(walk(), 0);
    ck_assert_uint_eq(table.count, 1000);
    for (uint64_t page = 0; page < 2001; page++) {
        const struct extent *first = extent_table_find(&table, l2_at(page * PAGE_SIZE));
        const struct extent *last = extent_table_find(&table, l2_at(page * PAGE_SIZE + 4095));

        ck_assert_ptr_eq(first, last);
        ck_assert_ptr_eq(first, page % 2 ? &table.extent[page / 2] : NULL);
    }
    ck_assert_ptr_null(extent_table_find(&table, l2_at(~0ULL)));
    finish();
}
END_TEST

/* A walk that failed leaves nothing of the one before. */
START_TEST(table_is_empty_after_a_failure)
{
    setup();
    builder_map(&b, L2, L1, RWX);
    ck_assert_int_eq(walk(), 0);
    ck_assert_uint_eq(table.count, 1);
    builder_map(&b, L2 + PAGE_SIZE, L1, W);
    ck_assert_int_eq(walk(), MEZZ_E_EPT_ACCESS);
    ck_assert_uint_eq(table.count, 0);
    builder_map(&b, L2 + PAGE_SIZE, L1, R);
    ck_assert_int_eq(walk(), 0);
    ck_assert_uint_eq(table.count, 2);
    finish();
}
END_TEST

RUN_CASES("ept12", 60, EACH(rights_at_each_level, 4 * ELEMENTS(rights_table)),
          EACH(rights_of_levels_together, 16), EACH(eptp_bits, 64), ONCE(eptp_at_the_end_of_memory),
          EACH(table_entry_bits, 1 + 2), EACH(leaf_bits, 3), ONCE(no_512_gib_leaf),
          EACH(other_bits_of_an_absent_entry, 4), EACH(addresses, 4), ONCE(large_leaf_half_outside),
          EACH(coalescing, ELEMENTS(neighbours)), ONCE(coalescing_across_sizes),
          ONCE(first_and_last_page_of_l2), EACH(lookup_offset, 3), ONCE(find),
          ONCE(table_is_empty_after_a_failure))
