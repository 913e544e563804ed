/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "ept12_builder.h"
#include "host/sort.h"
#include "runner.h"
#include "views/host_traits.h"
#include "views/remap_window.h"
#include "views/table_log.h"
#include "views/tlb_page.h"

/* What of the views needs no KVM: the window of the remap engine, the log of pages, the choice of
 * an engine. */

#define R MEZZ_EPT_READ
#define W MEZZ_EPT_WRITE
#define X MEZZ_EPT_EXECUTE

static struct extent extent(uint64_t l2, uint64_t l1, uint64_t pages, uint32_t rights)
{
    return (struct extent){l2_at(l2 * PAGE_SIZE), l1_at(l1 * PAGE_SIZE), pages * PAGE_SIZE, rights};
}

static void mark(const struct ept12_builder *builder, uint64_t l1_page)
{
    ck_assert_int_eq(l1_write(&builder->l1, l1_at(l1_page * PAGE_SIZE), &l1_page, sizeof(l1_page)),
                     0);
}

static uint64_t seen(const struct remap_window *window, uint64_t l2_page)
{
    uint64_t value;

    memcpy(&value, window->base + l2_page * PAGE_SIZE, sizeof(value));
    return value;
}

START_TEST(window_shows_what_is_mapped)
{
    struct extent whole[] = {extent(0, 16, 16, R | W | X)};
    struct extent holed[] = {extent(0, 16, 4, R | W | X), extent(4, 64, 2, R | W | X),
                             extent(6, 22, 10, R | W | X)};
    struct extent moved[] = {extent(2, 80, 8, R | X), extent(12, 28, 4, R | W | X)};
    const struct extent_table tables[] = {
        {whole, 1, 1, false}, {holed, 3, 3, false}, {moved, 2, 2, false}};
    struct remap_window window = {0};
    struct ept12_builder builder;
    bool changed;

    builder_create(&builder);
    for (uint64_t page = 0; page < 128; page++)
        mark(&builder, page);
    ck_assert(!remap_window_fits(&window, &tables[0]));
    ck_assert_int_eq(remap_window_grow(&window, &tables[0]), 0);
    for (unsigned int i = 0; i < 30; i++) {
        const struct extent_table *table = &tables[i * 7 % 3];

        ck_assert_int_eq(remap_window_layout(&window, table, LAYOUT_ANY, &changed), 0);
        ck_assert_int_eq(remap_window_map(&window, &builder.l1, table), 0);
        for (size_t e = 0; e < table->count; e++)
            for (uint64_t at = 0; at < table->extent[e].length; at += PAGE_SIZE)
                ck_assert_uint_eq(seen(&window, (table->extent[e].l2.value + at) / PAGE_SIZE),
                                  (table->extent[e].l1.value + at) / PAGE_SIZE);
    }
    remap_window_destroy(&window);
    builder_destroy(&builder);
}
END_TEST

/* Neighbours are one slot when their rights are the same, wherever their backing is. */
START_TEST(layout_ignores_backing)
{
    struct extent extents[] = {extent(0, 16, 4, R | W | X), extent(4, 64, 2, R | W | X),
                               extent(6, 22, 2, R | X), extent(9, 40, 1, R | X),
                               extent(10, 50, 1, R | X)};
    const struct extent_table table = {extents, 5, 5, false};
    struct remap_window window = {0};
    const struct extent_table *layout = &window.layout;
    bool changed = false;

    ck_assert_int_eq(remap_window_layout(&window, &table, LAYOUT_ANY, &changed), 0);
    ck_assert(changed && !window.soft);
    ck_assert_uint_eq(layout->count, 3);
    ck_assert_uint_eq(layout->extent[0].length, 6 * PAGE_SIZE);
    ck_assert_uint_eq(layout->extent[1].l1.value, 6 * PAGE_SIZE);
    ck_assert_uint_eq(layout->extent[2].l2.value, 9 * PAGE_SIZE);
    ck_assert_uint_eq(layout->extent[2].length, 2 * PAGE_SIZE);
    remap_window_destroy(&window);
}
END_TEST

START_TEST(window_has_a_limit)
{
    struct extent far = extent(REMAP_WINDOW_LIMIT / PAGE_SIZE, 1, 1, R | W | X);
    const struct extent_table table = {&far, 1, 1, false};
    struct remap_window window = {0};

    ck_assert_int_eq(remap_window_grow(&window, &table), -EFBIG);
    ck_assert_ptr_null(window.base);
    remap_window_destroy(&window);
}
END_TEST

START_TEST(log_has_a_page_once)
{
    static struct table_log log;
    int a;
    int b;

    for (int i = 0; i < 100; i++)
        table_log_add(&log, 7, &a);
    ck_assert_uint_eq(log.head, 1);
    /* Another writer is another entry: the first writer knows only its own. */
    table_log_add(&log, 7, &b);
    ck_assert_uint_eq(log.head, 2);
    table_log_add(&log, 7, NULL);
    ck_assert_uint_eq(log.head, 3);
    table_log_add(&log, 8, NULL);
    ck_assert_uint_eq(log.head, 4);
    /* Somebody has read it: the next write is news again. */
    log.read = log.head;
    table_log_add(&log, 8, NULL);
    ck_assert_uint_eq(log.head, 5);
    table_log_add(&log, 8, NULL);
    ck_assert_uint_eq(log.head, 5);
}
END_TEST

START_TEST(log_that_wrapped)
{
    static struct table_log log;

    table_log_add(&log, 5, NULL);
    for (uint64_t i = 0; i < 2 * TABLE_LOG_SIZE; i++)
        table_log_add(&log, 1000 + i, NULL);
    table_log_add(&log, 5, NULL);
    ck_assert_uint_eq(log.head, 2 * TABLE_LOG_SIZE + 2);
    ck_assert_uint_eq(log.entry[(log.head - 1) % TABLE_LOG_SIZE].page, 5);
}
END_TEST

static const struct {
    enum paging_kind kind;
    bool logs_each_write;
    enum engine_kind engine;
} choices[] = {
    {PAGING_HARDWARE, false, ENGINE_FLIP}, {PAGING_HARDWARE, true, ENGINE_FLIP},
    {PAGING_SHADOW, true, ENGINE_FLIP},    {PAGING_SHADOW, false, ENGINE_REMAP},
    {PAGING_UNKNOWN, true, ENGINE_REMAP},
};

START_TEST(choice)
{
    const struct host_traits traits = {.paging.kind = choices[_i].kind,
                                       .logs_each_write = choices[_i].logs_each_write};
    const char *why = NULL;

    ck_assert_int_eq(engine_choose(&traits, &why), choices[_i].engine);
    ck_assert_ptr_nonnull(why);
}
END_TEST

START_TEST(names)
{
    for (int kind = 0; kind < ENGINE_KINDS; kind++)
        ck_assert_int_eq(engine_by_name(engine_name((enum engine_kind)kind)), kind);
    ck_assert_int_eq(engine_by_name("fast"), ENGINE_KINDS);
}
END_TEST

START_TEST(free_address)
{
    struct extent all = extent(0, 0, 1 << 20, R | W | X);
    struct extent_table table = {&all, 1, 1, false};
    uint64_t at;

    ck_assert_uint_eq(tlb_page_free_address(&table), 0);
    table.count = 0;
    at = tlb_page_free_address(&table);
    ck_assert_uint_ne(at, 0);
    all = extent(at / PAGE_SIZE - 5, 0, 6, R | W | X);
    table.count = 1;
    ck_assert_uint_eq(tlb_page_free_address(&table), at - 6 * PAGE_SIZE);
}
END_TEST

struct keyed {
    uint64_t key;
    uint32_t number;
    uint8_t rest[12];
};

/* Each is there once, behind those with smaller keys. */
START_TEST(sorted)
{
    static struct keyed element[300];
    const unsigned int count = (unsigned int)_i;
    uint64_t state = count + 1U;
    uint64_t seen = 0;

    for (uint32_t i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        element[i] = (struct keyed){.key = i % 3 == 0 ? state % 50 : state, .number = i};
        memset(element[i].rest, (int)i, sizeof(element[i].rest));
    }
    sort_by_key(element, count, sizeof(element[0]));
    for (uint32_t i = 0; i < count; i++) {
        ck_assert(i == 0 || element[i - 1].key <= element[i].key);
        ck_assert_uint_eq(element[i].rest[11], (uint8_t)element[i].number);
        seen += element[i].number;
    }
    ck_assert_uint_eq(seen, count == 0 ? 0U : (uint64_t)(count * (count - 1) / 2));
}
END_TEST

RUN_CASES("views", 30, ONCE(window_shows_what_is_mapped), ONCE(layout_ignores_backing),
          ONCE(window_has_a_limit), ONCE(log_has_a_page_once), ONCE(log_that_wrapped),
          EACH(choice, ELEMENTS(choices)), ONCE(names), ONCE(free_address), EACH(sorted, 300))
