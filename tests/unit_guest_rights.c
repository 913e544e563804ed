/* SPDX-License-Identifier: Apache-2.0 */
/* L2's page tables: rights as truth tables, and every reserved bit. */
#include <errno.h>
#include <string.h>

#include "guest_tables.h"
#include "runner.h"

/* What a page with these flags allows: supervisor's r, w, x; user's. */
static const struct {
    uint64_t flags, cr0, cr4, rflags;
    const char *allowed;
} rights_table[] = {
    {P | W | U, CR0_WP, 0, 0, "rwxrwx"},
    {P | U, CR0_WP, 0, 0, "r-xr-x"},
    {P | U, 0, 0, 0, "rwxr-x"},
    {P | W, CR0_WP, 0, 0, "rwx---"},
    {P, CR0_WP, 0, 0, "r-x---"},
    {P, 0, 0, 0, "rwx---"},
    {P | W | U | NX, CR0_WP, 0, 0, "rw-rw-"},
    {P | U | NX, CR0_WP, 0, 0, "r--r--"},
    {P | W | NX, CR0_WP, 0, 0, "rw----"},
    {P | W | U, CR0_WP, SMEP, 0, "rw-rwx"},
    {P | W, CR0_WP, SMEP, 0, "rwx---"},
    {P | W | U, CR0_WP, SMAP, 0, "--xrwx"},
    {P | W | U, CR0_WP, SMAP, RFLAGS_AC, "rwxrwx"},
    {P | U, CR0_WP, SMAP, RFLAGS_AC, "r-xr-x"},
    {P | W | U, CR0_WP, SMEP | SMAP, 0, "---rwx"},
    {P | W, CR0_WP, SMEP | SMAP, 0, "rwx---"},
};

/* The flags are those of one level, the others allow everything. */
START_TEST(rights)
{
    static const unsigned int access[] = {GUEST_READ, GUEST_WRITE, GUEST_FETCH};
    const unsigned int row = (unsigned int)_i / 4;
    const unsigned int level = (unsigned int)_i % 4 + 1;
    const uint64_t flags = rights_table[row].flags;
    char allowed[7] = "------";

    long_mode(level, next_of(level) | flags);
    tables_paging.cr0 = CR0_PG | rights_table[row].cr0;
    tables_paging.cr4 |= rights_table[row].cr4;
    tables_paging.rflags = rights_table[row].rflags;
    for (unsigned int i = 0; i < 6; i++) {
        const unsigned int user = i >= 3 ? GUEST_USER : 0;

        if (tables_walk(LONG_ADDRESS, access[i % 3] | user) == 0)
            allowed[i] = "rwx"[i % 3];
        else
            ck_assert_int_eq(tables_fault.kind, GUEST_FAULT_RIGHTS);
    }
    ck_assert_msg(strcmp(allowed, rights_table[row].allowed) == 0, "row %u level %u: %s, not %s",
                  row, level, allowed, rights_table[row].allowed);
    ck_assert_int_eq(tables_walk(LONG_ADDRESS, GUEST_ANY), 0);
    ck_assert_uint_eq(tables_got.user, (flags & U) != 0);
    ck_assert_uint_eq(tables_got.rights, MEZZ_EPT_READ | (flags & W ? MEZZ_EPT_WRITE : 0) |
                                             (flags & NX ? 0 : MEZZ_EPT_EXECUTE));
}
END_TEST

START_TEST(rights_of_other_modes)
{
    pae_mode(0, 0); /* a PDPTE has no rights to give or to take */
    ck_assert_int_eq(tables_walk(SHORT_ADDRESS, GUEST_WRITE | GUEST_USER), 0);
    ck_assert_int_eq(tables_walk(SHORT_ADDRESS, GUEST_FETCH | GUEST_USER), 0);
    pae_mode(1, PAGE | P | NX);
    ck_assert_int_eq(tables_walk(SHORT_ADDRESS, GUEST_READ), 0);
    faults(SHORT_ADDRESS, GUEST_FETCH, GUEST_FAULT_RIGHTS, 0x11, 1);
    faults(SHORT_ADDRESS, GUEST_READ | GUEST_USER, GUEST_FAULT_RIGHTS, 0x5, 1);
    mode_32_bit(2, TABLE(1) | P | U);
    ck_assert_int_eq(tables_walk(SHORT_ADDRESS, GUEST_FETCH | GUEST_USER), 0);
    faults(SHORT_ADDRESS, GUEST_WRITE | GUEST_USER, GUEST_FAULT_RIGHTS, 0x7, 1);
}
END_TEST

enum width {
    BITS_36 = 36,
    BITS_52 = 52
};

/* All reserved bits of an entry, from the SDM's tables, as [low, high] ranges; 0, 0 ends. */
static const struct {
    void (*mode)(unsigned int level, uint64_t entry);
    uint64_t linear, base; /* base: the entry without the bit under test */
    unsigned int level;
    uint64_t efer; /* beyond the mode's own */
    enum width width;
    struct {
        unsigned int low, high;
    } reserved[4];
} reserved_table[] = {
    {long_mode, LONG_ADDRESS, TABLE(3) | FULL, 4, EFER_NXE, BITS_52, {{7, 7}}},
    {long_mode, LONG_ADDRESS, TABLE(3) | FULL, 4, 0, BITS_36, {{7, 7}, {36, 51}, {63, 63}}},
    {long_mode, LONG_ADDRESS, TABLE(2) | FULL, 3, EFER_NXE, BITS_36, {{36, 51}}},
    {long_mode, LONG_ADDRESS, FULL | LARGE, 3, EFER_NXE, BITS_52, {{13, 29}}},
    {long_mode, LONG_ADDRESS, TABLE(1) | FULL, 2, 0, BITS_52, {{63, 63}}},
    {long_mode, LONG_ADDRESS, FULL | LARGE, 2, EFER_NXE, BITS_36, {{13, 20}, {36, 51}}},
    {long_mode, LONG_ADDRESS, PAGE | FULL, 1, EFER_NXE, BITS_52, {{0, 0}}},
    {long_mode, LONG_ADDRESS, PAGE | FULL, 1, 0, BITS_36, {{36, 51}, {63, 63}}},
    {pae_mode, SHORT_ADDRESS, TABLE(2) | P, 3, EFER_NXE, BITS_52, {{1, 2}, {5, 8}, {52, 63}}},
    {pae_mode, SHORT_ADDRESS, TABLE(1) | FULL, 2, EFER_NXE, BITS_36, {{36, 62}}},
    {pae_mode, SHORT_ADDRESS, FULL | LARGE, 2, EFER_NXE, BITS_52, {{13, 20}, {52, 62}}},
    {pae_mode, SHORT_ADDRESS, PAGE | FULL, 1, 0, BITS_52, {{52, 63}}},
};

START_TEST(reserved_bits)
{
    for (unsigned int bit = 1; bit < 64; bit++) {
        const uint64_t base = reserved_table[_i].base;
        int reserved = 0;
        int code;

        for (unsigned int i = 0; i < 4; i++)
            reserved |= reserved_table[_i].reserved[i].high &&
                        bit >= reserved_table[_i].reserved[i].low &&
                        bit <= reserved_table[_i].reserved[i].high;
        if (base & 1ULL << bit)
            continue;
        /* A table becomes a page, which has other reserved bits. */
        if (bit == 7 && !reserved)
            continue;
        reserved_table[_i].mode(reserved_table[_i].level, base | 1ULL << bit);
        tables_paging.efer = (tables_paging.efer & ~EFER_NXE) | reserved_table[_i].efer;
        tables_paging.physical_bits = reserved_table[_i].width;
        code = tables_walk(reserved_table[_i].linear, GUEST_ANY);
        ck_assert_msg((code == -EFAULT && tables_fault.kind == GUEST_FAULT_RESERVED) == reserved,
                      "row %d, bit %u", _i, bit);
    }
}
END_TEST

START_TEST(reserved_bits_of_32_bit_paging)
{
    mode_32_bit(2, FULL | LARGE | 1 << 21);
    faults(SHORT_ADDRESS, GUEST_ANY, GUEST_FAULT_RESERVED, 0x9, 2);
    mode_32_bit(2, FULL | LARGE | 1 << 17); /* address bit 36 */
    leads_to(SHORT_ADDRESS, 0x1000001abc, 4 << 20, 1);
    tables_paging.physical_bits = 36;
    faults(SHORT_ADDRESS, GUEST_ANY, GUEST_FAULT_RESERVED, 0x9, 2);
}
END_TEST

RUN_CASES("guest rights", 30, EACH(rights, 4 * ELEMENTS(rights_table)), ONCE(rights_of_other_modes),
          EACH(reserved_bits, ELEMENTS(reserved_table)), ONCE(reserved_bits_of_32_bit_paging))
