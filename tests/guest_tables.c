/* SPDX-License-Identifier: Apache-2.0 */
#include "guest_tables.h"

#include <check.h>
#include <errno.h>
#include <string.h>

uint8_t tables_memory[L2_SIZE];
uint64_t tables_hole;
unsigned int tables_reads;
struct guest_paging tables_paging;
struct guest_translation tables_got;
struct guest_fault tables_fault;

static int read_l2(void *context, l2_address address, void *to, size_t length)
{
    ck_assert_ptr_eq(context, tables_memory);
    tables_reads++;
    if (address.value > L2_SIZE || length > L2_SIZE - address.value ||
        (tables_hole && address.value / PAGE_SIZE == tables_hole / PAGE_SIZE))
        return -EFAULT;
    memcpy(to, tables_memory + address.value, length);
    return 0;
}

const struct guest_reader tables_reader = {read_l2, tables_memory};

void tables_set(uint64_t table, unsigned int index, uint64_t entry, size_t size)
{
    memcpy(tables_memory + table + index * size, &entry, size);
}

void long_mode(unsigned int level, uint64_t entry)
{
    static const unsigned int index[] = {0, 1, 1, 1, 511};

    memset(tables_memory, 0, sizeof(tables_memory));
    for (unsigned int at = 4; at >= 1; at--)
        tables_set(TABLE(at), index[at], (at > 1 ? TABLE(at - 1) : PAGE) | FULL, 8);
    if (level)
        tables_set(TABLE(level), index[level], entry, 8);
    tables_paging = (struct guest_paging){
        .cr0 = CR0_PG | CR0_WP, .cr3 = TABLE(4), .cr4 = CR4_PAE, .efer = EFER_LONG | EFER_NXE};
    tables_hole = 0;
}

uint64_t next_of(unsigned int level)
{
    return level > 1 ? TABLE(level - 1) : PAGE;
}

void pae_mode(unsigned int level, uint64_t entry)
{
    static const unsigned int index[] = {0, 1, 2, 1};

    memset(tables_memory, 0, sizeof(tables_memory));
    tables_set(TABLE(3), 1, TABLE(2) | P, 8);
    tables_set(TABLE(2), 2, TABLE(1) | FULL, 8);
    tables_set(TABLE(1), 1, PAGE | FULL, 8);
    if (level)
        tables_set(TABLE(level), index[level], entry, 8);
    tables_paging = (struct guest_paging){
        .cr0 = CR0_PG | CR0_WP, .cr3 = TABLE(3), .cr4 = CR4_PAE, .efer = EFER_NXE};
    tables_hole = 0;
}

void mode_32_bit(unsigned int level, uint64_t entry)
{
    memset(tables_memory, 0, sizeof(tables_memory));
    tables_set(TABLE(2), 257, TABLE(1) | FULL, 4);
    tables_set(TABLE(1), 1, PAGE | FULL, 4);
    if (level)
        tables_set(TABLE(level), level == 2 ? 257 : 1, entry, 4);
    tables_paging = (struct guest_paging){.cr0 = CR0_PG | CR0_WP, .cr3 = TABLE(2), .cr4 = CR4_PSE};
    tables_hole = 0;
}

int tables_walk(uint64_t linear, unsigned int access)
{
    tables_reads = 0;
    return guest_walk(&tables_got, &tables_paging, linear, access, &tables_reader, &tables_fault);
}

void leads_to(uint64_t linear, uint64_t address, uint64_t page_size, unsigned int levels)
{
    ck_assert_int_eq(tables_walk(linear, GUEST_ANY), 0);
    ck_assert_uint_eq(tables_got.address.value, address);
    ck_assert_uint_eq(tables_got.page_size, page_size);
    ck_assert_uint_eq(tables_reads, levels);
    ck_assert_int_eq(tables_fault.kind, GUEST_FAULT_NONE);
}

void faults(uint64_t linear, unsigned int access, enum guest_fault_kind kind, uint32_t code,
            unsigned int level)
{
    ck_assert_int_eq(tables_walk(linear, access), -EFAULT);
    ck_assert_int_eq(tables_fault.kind, kind);
    ck_assert_uint_eq(tables_fault.error_code, code);
    ck_assert_uint_eq(tables_fault.level, level);
}
