/* SPDX-License-Identifier: Apache-2.0 */
/* Walks that are kept: they hold as long as their entries do, and no longer. */
#include <string.h>

#include "guest_tables.h"
#include "runner.h"
#include "vmm/exits/kept_walks.h"

#define ACCESSED_DIRTY (3ULL << 5)

static struct kept_walks kept;
static unsigned int reads;
static struct walked_memory memory;
static struct guest_translation got;
static struct guest_fault fault;

static const void *pointer(void *context, l2_address address, size_t length)
{
    (void)context;
    reads++;
    return address.value + length <= L2_SIZE ? tables_memory + address.value : NULL;
}

static int walk(uint64_t linear, unsigned int access)
{
    reads = 0;
    return kept_walk(&kept, &memory, &got, &tables_paging, linear, access, &fault);
}

/* Long mode, with the walk to LONG_ADDRESS kept. */
static void keep_one(void)
{
    memset(&kept, 0, sizeof(kept));
    memory = (struct walked_memory){.pointer = pointer, .of = 1, .version = 1};
    long_mode(0, 0);
    ck_assert_int_eq(walk(LONG_ADDRESS, GUEST_READ), 0);
    ck_assert_uint_eq(reads, 4);
    ck_assert_int_eq(walk(LONG_ADDRESS + 1, GUEST_READ), 0);
    ck_assert_uint_eq(reads, 0);
    ck_assert_uint_eq(got.address.value, PAGE + LONG_ADDRESS % PAGE_SIZE + 1);
}

START_TEST(entry_changes)
{
    static const unsigned int index[] = {1, 1, 1, 511};
    const unsigned int level = (unsigned int)_i + 1;
    uint64_t entry = next_of(level) | FULL;

    keep_one();
    tables_set(TABLE(level), index[_i], entry | ACCESSED_DIRTY, 8);
    ck_assert_int_eq(walk(LONG_ADDRESS, GUEST_READ), 0);
    ck_assert_uint_eq(reads, 0);
    tables_set(TABLE(level), index[_i], entry & ~W, 8);
    ck_assert_int_eq(walk(LONG_ADDRESS, GUEST_READ), 0);
    ck_assert_uint_eq(reads, 4);
    ck_assert_uint_eq(got.rights, MEZZ_EPT_READ | MEZZ_EPT_EXECUTE);
    tables_set(TABLE(level), index[_i], 0, 8);
    ck_assert_int_ne(walk(LONG_ADDRESS, GUEST_READ), 0);
    ck_assert_int_eq(fault.kind, GUEST_FAULT_NOT_PRESENT);
    ck_assert_uint_eq(fault.level, level);
    tables_set(TABLE(level), index[_i], entry, 8);
    ck_assert_int_eq(walk(LONG_ADDRESS, GUEST_READ), 0);
}
END_TEST

/* Whatever else a walk depends on. */
START_TEST(walk_is_another_one)
{
    uint64_t *const what[] = {
        &tables_paging.cr0,    &tables_paging.cr4, &tables_paging.efer,
        &tables_paging.rflags, &memory.of,         &memory.version,
    };
    static const uint64_t changed[] = {CR0_WP, SMEP, EFER_NXE, RFLAGS_AC, 3, 3};

    keep_one();
    *what[_i] ^= changed[_i];
    ck_assert_int_eq(walk(LONG_ADDRESS, GUEST_READ), 0);
    ck_assert_uint_eq(reads, 4);
}
END_TEST

START_TEST(another_access_or_space)
{
    keep_one();
    tables_set(TABLE(1), 1, PAGE | P, 8);
    ck_assert_int_eq(walk(LONG_ADDRESS, GUEST_READ), 0);
    ck_assert_int_ne(walk(LONG_ADDRESS, GUEST_READ | GUEST_USER), 0);
    ck_assert_int_eq(fault.kind, GUEST_FAULT_RIGHTS);
    tables_paging.cr3 = TABLE(9);
    ck_assert_int_ne(walk(LONG_ADDRESS, GUEST_READ), 0);
    tables_paging.rflags = 1; /* no flag that a walk looks at */
    tables_paging.cr3 = TABLE(4);
    ck_assert_int_eq(walk(LONG_ADDRESS, GUEST_READ), 0);
    tables_paging.rflags = 0;
    ck_assert_int_eq(walk(LONG_ADDRESS, GUEST_READ), 0);
    ck_assert_uint_eq(reads, 0);
}
END_TEST

/* Entries of 4 bytes are walked each time, and right. */
START_TEST(short_entries)
{
    keep_one();
    mode_32_bit(0, 0);
    for (unsigned int i = 0; i < 2; i++) {
        ck_assert_int_eq(walk(SHORT_ADDRESS, GUEST_READ), 0);
        ck_assert_uint_eq(reads, 2);
        ck_assert_uint_eq(got.address.value, PAGE + SHORT_ADDRESS % PAGE_SIZE);
    }
}
END_TEST

START_TEST(large_page)
{
    keep_one();
    long_mode(2, 0x40200000 | FULL | LARGE);
    for (unsigned int i = 0; i < 2; i++) {
        ck_assert_int_eq(walk(LONG_ADDRESS, GUEST_READ), 0);
        ck_assert_uint_eq(got.address.value, 0x40200000 + LONG_ADDRESS % LARGE_PAGE_SIZE);
    }
    ck_assert_uint_eq(reads, 0);
}
END_TEST

START_TEST(unreadable_tables)
{
    keep_one();
    long_mode(3, L2_SIZE | FULL);
    ck_assert_int_ne(walk(LONG_ADDRESS, GUEST_READ), 0);
    ck_assert_int_eq(fault.kind, GUEST_FAULT_TABLE);
    ck_assert_uint_eq(fault.table.value / PAGE_SIZE, L2_SIZE / PAGE_SIZE);
}
END_TEST

/* Of a portion's two sections, the program's code and its stack: all are kept at once. */
START_TEST(round_addresses)
{
    static const struct {
        uint64_t page;
        unsigned int access;
    } walks[] = {{0x401000, GUEST_ANY},
                 {0x3fffe000, GUEST_ANY},
                 {0x500000, GUEST_READ | GUEST_USER},
                 {0x510000, GUEST_READ | GUEST_USER}};

    for (size_t i = 0; i < ELEMENTS(walks); i++)
        for (size_t j = 0; j < i; j++)
            ck_assert_uint_ne(kept_walk_place(walks[i].page, walks[i].access),
                              kept_walk_place(walks[j].page, walks[j].access));
}
END_TEST

RUN_CASES("kept_walks", 30, EACH(entry_changes, 4), EACH(walk_is_another_one, 6),
          ONCE(another_access_or_space), ONCE(short_entries), ONCE(large_page),
          ONCE(unreadable_tables), ONCE(round_addresses))
