/* SPDX-License-Identifier: Apache-2.0 */
/* L2's page tables in each paging mode: translations, faults, reads. */
#include <errno.h>
#include <string.h>

#include "guest_tables.h"
#include "runner.h"

START_TEST(paging_off)
{
    tables_paging = (struct guest_paging){.cr3 = UINT64_MAX, .cr4 = CR4_PAE};
    leads_to(0x123456789, 0x23456789, PAGE_SIZE, 0);
    ck_assert_uint_eq(tables_got.rights, MEZZ_EPT_RWX);
}
END_TEST

START_TEST(page_sizes)
{
    long_mode(0, 0);
    leads_to(LONG_ADDRESS, PAGE + 0xabc, 4096, 4);
    long_mode(2, 0x40200000 | FULL | LARGE | 1 << 12);
    leads_to(LONG_ADDRESS, 0x40200000 + 0x1abc, 2 << 20, 3);
    long_mode(3, 0x80000000 | FULL | LARGE);
    leads_to(LONG_ADDRESS, 0x80000000 + 0x201abc, 1 << 30, 2);
    pae_mode(0, 0);
    leads_to(SHORT_ADDRESS, PAGE + 0xabc, 4096, 3);
    pae_mode(2, 0x40200000 | FULL | LARGE);
    leads_to(SHORT_ADDRESS, 0x40200000 + 0x1abc, 2 << 20, 2);
    mode_32_bit(0, 0);
    leads_to(SHORT_ADDRESS, PAGE + 0xabc, 4096, 2);
    mode_32_bit(2, 0x00c00000 | FULL | LARGE);
    leads_to(SHORT_ADDRESS, 0x00c00000 + 0x1abc, 4 << 20, 1);
    mode_32_bit(2, 0x00c00000 | 0x85 << 13 | FULL | LARGE); /* PSE-36 */
    leads_to(SHORT_ADDRESS, 0x8500c00000 + 0x1abc, 4 << 20, 1);
    mode_32_bit(2, TABLE(1) | FULL | LARGE);
    tables_paging.cr4 = 0; /* no large pages: the bit is ignored */
    leads_to(SHORT_ADDRESS, PAGE + 0xabc, 4096, 2);
}
END_TEST

START_TEST(addresses_of_32_bits)
{
    mode_32_bit(0, 0);
    leads_to(0xffffffff00000000 | SHORT_ADDRESS, PAGE + 0xabc, 4096, 2);
    pae_mode(0, 0);
    leads_to(0x100000000 | SHORT_ADDRESS, PAGE + 0xabc, 4096, 3);
    tables_paging.cr3 = TABLE(3) | 0x1f; /* ignored */
    leads_to(SHORT_ADDRESS, PAGE + 0xabc, 4096, 3);
    /* PDPTEs need not start a page. */
    tables_set(0x6fe0, 1, TABLE(2) | P, 8);
    tables_paging.cr3 = 0x6fe0;
    leads_to(SHORT_ADDRESS, PAGE + 0xabc, 4096, 3);
}
END_TEST

START_TEST(canonical)
{
    static const struct {
        uint64_t linear;
        enum guest_fault_kind kind;
    } addresses[] = {
        {0, GUEST_FAULT_NOT_PRESENT},
        {0x7fffffffffff, GUEST_FAULT_NOT_PRESENT},
        {0x800000000000, GUEST_FAULT_NOT_CANONICAL},
        {0xffff7fffffffffff, GUEST_FAULT_NOT_CANONICAL},
        {0xffff800000000000, GUEST_FAULT_NOT_PRESENT},
        {0x8000000000000000, GUEST_FAULT_NOT_CANONICAL},
    };

    long_mode(0, 0);
    ck_assert_int_eq(tables_walk(addresses[_i].linear, GUEST_READ), -EFAULT);
    ck_assert_int_eq(tables_fault.kind, addresses[_i].kind);
    ck_assert_uint_eq(tables_fault.linear, addresses[_i].linear);
}
END_TEST

START_TEST(five_levels)
{
    long_mode(0, 0);
    tables_paging.cr4 |= CR4_LA57;
    ck_assert_int_eq(tables_walk(LONG_ADDRESS, GUEST_ANY), -EOPNOTSUPP);
    ck_assert_int_eq(guest_read(&tables_paging, LONG_ADDRESS, GUEST_ANY, tables_memory, 1,
                                &tables_reader, &tables_fault),
                     -EOPNOTSUPP);
}
END_TEST

/* Error codes of page faults: P 1, W 2, U 4, RSVD 8, I 16. */
START_TEST(error_codes)
{
    long_mode(3, TABLE(2) & ~P);
    faults(LONG_ADDRESS, GUEST_READ, GUEST_FAULT_NOT_PRESENT, 0x0, 3);
    ck_assert_uint_eq(tables_fault.table.value, TABLE(3) + 8);
    faults(LONG_ADDRESS, GUEST_WRITE, GUEST_FAULT_NOT_PRESENT, 0x2, 3);
    faults(LONG_ADDRESS, GUEST_FETCH | GUEST_USER, GUEST_FAULT_NOT_PRESENT, 0x14, 3);
    tables_paging.efer = EFER_LONG;
    faults(LONG_ADDRESS, GUEST_FETCH | GUEST_USER, GUEST_FAULT_NOT_PRESENT, 0x4, 3);
    tables_paging.cr4 |= SMEP;
    faults(LONG_ADDRESS, GUEST_FETCH, GUEST_FAULT_NOT_PRESENT, 0x10, 3);
    long_mode(1, PAGE | P);
    faults(LONG_ADDRESS, GUEST_WRITE | GUEST_USER, GUEST_FAULT_RIGHTS, 0x7, 1);
    long_mode(4, TABLE(3) | FULL | LARGE);
    faults(LONG_ADDRESS, GUEST_ANY, GUEST_FAULT_RESERVED, 0x9, 4);
    mode_32_bit(2, 0);
    faults(SHORT_ADDRESS, GUEST_FETCH, GUEST_FAULT_NOT_PRESENT, 0x0, 2);
}
END_TEST

/* A table that cannot be read ends the walk there. */
START_TEST(unreadable_table)
{
    const unsigned int level = (unsigned int)_i + 1;

    long_mode(0, 0);
    tables_hole = TABLE(level);
    ck_assert_int_eq(tables_walk(LONG_ADDRESS, GUEST_READ), -EFAULT);
    ck_assert_int_eq(tables_fault.kind, GUEST_FAULT_TABLE);
    ck_assert_uint_eq(tables_fault.level, level);
    ck_assert_uint_eq(tables_fault.table.value / PAGE_SIZE, level);
    ck_assert_uint_eq(tables_reads, 5 - level);
}
END_TEST

/* A table that is its own table: four reads, and an end. */
START_TEST(table_that_leads_to_itself)
{
    long_mode(0, 0);
    tables_set(TABLE(4), 511, TABLE(4) | FULL, 8);
    leads_to(0xffffffffffffffff, TABLE(4) + 0xfff, 4096, 4);
}
END_TEST

START_TEST(reading_across_pages)
{
    const uint64_t linear = (LONG_ADDRESS & ~0xfffULL) + 0xffa;
    uint8_t bytes[16] = {0};

    long_mode(0, 0);
    tables_set(TABLE(1), 2, (PAGE + 0x3000) | FULL, 8);
    memcpy(tables_memory + PAGE + 0xffa, "abcdef", 6);
    memcpy(tables_memory + PAGE + 0x3000, "ghijklmno", 9);
    ck_assert_int_eq(
        guest_read(&tables_paging, linear, GUEST_FETCH, bytes, 15, &tables_reader, &tables_fault),
        15);
    ck_assert_mem_eq(bytes, "abcdefghijklmno", 15);
    ck_assert_int_eq(tables_fault.kind, GUEST_FAULT_NONE);
    tables_hole = PAGE + 0x3000;
    ck_assert_int_eq(
        guest_read(&tables_paging, linear, GUEST_FETCH, bytes, 15, &tables_reader, &tables_fault),
        6);
    ck_assert_int_eq(tables_fault.kind, GUEST_FAULT_MEMORY);
    ck_assert_uint_eq(tables_fault.table.value, PAGE + 0x3000);
    ck_assert_uint_eq(tables_fault.linear, linear + 6);
    tables_set(TABLE(1), 2, (PAGE + 0x3000) | FULL | NX, 8);
    ck_assert_int_eq(
        guest_read(&tables_paging, linear, GUEST_FETCH, bytes, 15, &tables_reader, &tables_fault),
        6);
    ck_assert_int_eq(tables_fault.kind, GUEST_FAULT_RIGHTS);
    ck_assert_int_eq(
        guest_read(&tables_paging, linear, GUEST_ANY, bytes, 4097, &tables_reader, &tables_fault),
        -EINVAL);
    ck_assert_int_eq(
        guest_read(&tables_paging, linear, GUEST_ANY, bytes, 0, &tables_reader, &tables_fault), 0);
}
END_TEST

/* Behind the last linear address: 0 with 32 bits, nothing with 64. */
START_TEST(reading_past_the_end)
{
    uint8_t bytes[8];

    tables_paging = (struct guest_paging){0};
    memcpy(tables_memory, "zero", 4);
    tables_hole = 0;
    ck_assert_int_eq(
        guest_read(&tables_paging, 0x100000000, GUEST_ANY, bytes, 4, &tables_reader, &tables_fault),
        4);
    ck_assert_mem_eq(bytes, "zero", 4);
    long_mode(0, 0);
    ck_assert_int_eq(guest_read(&tables_paging, 0x7fffffffffff, GUEST_ANY, bytes, 4, &tables_reader,
                                &tables_fault),
                     0);
    ck_assert_int_eq(tables_fault.kind, GUEST_FAULT_NOT_PRESENT);
}
END_TEST

START_TEST(through_a_view)
{
    struct extent extents[] = {{l2_at(0x1000), l1_at(0x3000), 0x1000, MEZZ_EPT_RWX},
                               {l2_at(0x2000), l1_at(0x1000), 0x1000, MEZZ_EPT_READ},
                               {l2_at(0x4000), l1_at(0x5000), 0x1000, MEZZ_EPT_RWX}};
    const struct extent_table table = {.extent = extents, .count = 3, .capacity = 3};
    struct memory memory;
    struct error error;
    const struct l1_memory l1 = {&memory, 0, 0x5000};
    struct guest_view view = {&l1, &table};
    char bytes[8] = "";

    ck_assert_int_eq(memory_create(&memory, 0x6000, &error), 0);
    memcpy(memory.base + 0x3ffc, "abcd", 4);
    memcpy(memory.base + 0x1000, "efgh", 4);
    ck_assert_int_eq(guest_view_read(&view, l2_at(0x1ffc), bytes, 8), 0);
    ck_assert_mem_eq(bytes, "abcdefgh", 8);
    ck_assert_int_eq(guest_view_read(&view, l2_at(0xfff), bytes, 2), -EFAULT);
    ck_assert_int_eq(guest_view_read(&view, l2_at(0x2fff), bytes, 2), -EFAULT);
    ck_assert_int_eq(guest_view_read(&view, l2_at(0x4000), bytes, 1), -EFAULT); /* past L1 */
    ck_assert_int_eq(guest_view_read(&view, l2_at(UINT64_MAX), bytes, 8), -EFAULT);
    memory_destroy(&memory);
}
END_TEST

RUN_CASES("guest_walk", 30, ONCE(paging_off), ONCE(page_sizes), ONCE(addresses_of_32_bits),
          EACH(canonical, 6), ONCE(five_levels), ONCE(error_codes), EACH(unreadable_table, 4),
          ONCE(table_that_leads_to_itself), ONCE(reading_across_pages), ONCE(reading_past_the_end),
          ONCE(through_a_view))
