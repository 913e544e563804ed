/* SPDX-License-Identifier: Apache-2.0 */
/* L2's page tables in each paging mode: translations, rights as truth tables, faults. */
#include "vmm/guest_walk.h"

#include <errno.h>
#include <string.h>

#include "runner.h"

#define P             (1ULL << 0)
#define W             (1ULL << 1)
#define U             (1ULL << 2)
#define LARGE         (1ULL << 7)
#define NX            (1ULL << 63)
#define FULL          (P | W | U)

#define CR0_WP        (1ULL << 16)
#define CR0_PG        (1ULL << 31)
#define CR4_PSE       (1ULL << 4)
#define CR4_PAE       (1ULL << 5)
#define CR4_LA57      (1ULL << 12)
#define SMEP          (1ULL << 20)
#define SMAP          (1ULL << 21)
#define EFER_LONG     (1ULL << 10)
#define EFER_NXE      (1ULL << 11)
#define RFLAGS_AC     (1ULL << 18)

#define TABLE(n)      (0x1000ULL * (n)) /* 4: the top one in long mode .. 1 */
#define PAGE          0x8000ULL
#define L2_SIZE       0x10000ULL
#define LONG_ADDRESS  0xffffff8040201abcULL /* indices 511, 1, 1, 1 */
#define SHORT_ADDRESS 0x40401abcULL         /* 32-bit: 257, 1; PAE: 1, 2, 1 */

static uint8_t l2[L2_SIZE];
static uint64_t hole; /* reads of this page fail; 0: none */
static unsigned int reads;
static struct guest_paging paging;
static struct guest_translation got;
static struct guest_fault fault;

static int read_l2(void *context, l2_address address, void *to, size_t length)
{
    ck_assert_ptr_eq(context, l2);
    reads++;
    if (address.value > L2_SIZE || length > L2_SIZE - address.value ||
        (hole && address.value / PAGE_SIZE == hole / PAGE_SIZE))
        return -EFAULT;
    memcpy(to, l2 + address.value, length);
    return 0;
}

static const struct guest_reader reader = {read_l2, l2};

static void set(uint64_t table, unsigned int index, uint64_t entry, size_t size)
{
    memcpy(l2 + table + index * size, &entry, size);
}

/* LONG_ADDRESS -> PAGE with all rights; flags are added to the entry of one level. */
static void long_mode(unsigned int level, uint64_t entry)
{
    static const unsigned int index[] = {0, 1, 1, 1, 511};

    memset(l2, 0, sizeof(l2));
    for (unsigned int at = 4; at >= 1; at--)
        set(TABLE(at), index[at], (at > 1 ? TABLE(at - 1) : PAGE) | FULL, 8);
    if (level)
        set(TABLE(level), index[level], entry, 8);
    paging = (struct guest_paging){
        .cr0 = CR0_PG | CR0_WP, .cr3 = TABLE(4), .cr4 = CR4_PAE, .efer = EFER_LONG | EFER_NXE};
    hole = 0;
}

static uint64_t next_of(unsigned int level)
{
    return level > 1 ? TABLE(level - 1) : PAGE;
}

static void pae_mode(unsigned int level, uint64_t entry)
{
    static const unsigned int index[] = {0, 1, 2, 1};

    memset(l2, 0, sizeof(l2));
    set(TABLE(3), 1, TABLE(2) | P, 8);
    set(TABLE(2), 2, TABLE(1) | FULL, 8);
    set(TABLE(1), 1, PAGE | FULL, 8);
    if (level)
        set(TABLE(level), index[level], entry, 8);
    paging = (struct guest_paging){
        .cr0 = CR0_PG | CR0_WP, .cr3 = TABLE(3), .cr4 = CR4_PAE, .efer = EFER_NXE};
    hole = 0;
}

static void mode_32_bit(unsigned int level, uint64_t entry)
{
    memset(l2, 0, sizeof(l2));
    set(TABLE(2), 257, TABLE(1) | FULL, 4);
    set(TABLE(1), 1, PAGE | FULL, 4);
    if (level)
        set(TABLE(level), level == 2 ? 257 : 1, entry, 4);
    paging = (struct guest_paging){.cr0 = CR0_PG | CR0_WP, .cr3 = TABLE(2), .cr4 = CR4_PSE};
    hole = 0;
}

static int walk(uint64_t linear, unsigned int access)
{
    reads = 0;
    return guest_walk(&got, &paging, linear, access, &reader, &fault);
}

static void leads_to(uint64_t linear, uint64_t address, uint64_t page_size, unsigned int levels)
{
    ck_assert_int_eq(walk(linear, GUEST_ANY), 0);
    ck_assert_uint_eq(got.address.value, address);
    ck_assert_uint_eq(got.page_size, page_size);
    ck_assert_uint_eq(reads, levels);
    ck_assert_int_eq(fault.kind, GUEST_FAULT_NONE);
}

static void faults(uint64_t linear, unsigned int access, enum guest_fault_kind kind, uint32_t code,
                   unsigned int level)
{
    ck_assert_int_eq(walk(linear, access), -EFAULT);
    ck_assert_int_eq(fault.kind, kind);
    ck_assert_uint_eq(fault.error_code, code);
    ck_assert_uint_eq(fault.level, level);
}

START_TEST(paging_off)
{
    paging = (struct guest_paging){.cr3 = UINT64_MAX, .cr4 = CR4_PAE};
    leads_to(0x123456789, 0x23456789, PAGE_SIZE, 0);
    ck_assert_uint_eq(got.rights, MEZZ_EPT_RWX);
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
    paging.cr4 = 0; /* no large pages: the bit is ignored */
    leads_to(SHORT_ADDRESS, PAGE + 0xabc, 4096, 2);
}
END_TEST

START_TEST(addresses_of_32_bits)
{
    mode_32_bit(0, 0);
    leads_to(0xffffffff00000000 | SHORT_ADDRESS, PAGE + 0xabc, 4096, 2);
    pae_mode(0, 0);
    leads_to(0x100000000 | SHORT_ADDRESS, PAGE + 0xabc, 4096, 3);
    paging.cr3 = TABLE(3) | 0x1f; /* ignored */
    leads_to(SHORT_ADDRESS, PAGE + 0xabc, 4096, 3);
    /* PDPTEs need not start a page. */
    set(0x6fe0, 1, TABLE(2) | P, 8);
    paging.cr3 = 0x6fe0;
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
    ck_assert_int_eq(walk(addresses[_i].linear, GUEST_READ), -EFAULT);
    ck_assert_int_eq(fault.kind, addresses[_i].kind);
    ck_assert_uint_eq(fault.linear, addresses[_i].linear);
}
END_TEST

START_TEST(five_levels)
{
    long_mode(0, 0);
    paging.cr4 |= CR4_LA57;
    ck_assert_int_eq(walk(LONG_ADDRESS, GUEST_ANY), -EOPNOTSUPP);
    ck_assert_int_eq(guest_read(&paging, LONG_ADDRESS, GUEST_ANY, l2, 1, &reader, &fault),
                     -EOPNOTSUPP);
}
END_TEST

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
    paging.cr0 = CR0_PG | rights_table[row].cr0;
    paging.cr4 |= rights_table[row].cr4;
    paging.rflags = rights_table[row].rflags;
    for (unsigned int i = 0; i < 6; i++) {
        const unsigned int user = i >= 3 ? GUEST_USER : 0;

        if (walk(LONG_ADDRESS, access[i % 3] | user) == 0)
            allowed[i] = "rwx"[i % 3];
        else
            ck_assert_int_eq(fault.kind, GUEST_FAULT_RIGHTS);
    }
    ck_assert_msg(strcmp(allowed, rights_table[row].allowed) == 0, "row %u level %u: %s, not %s",
                  row, level, allowed, rights_table[row].allowed);
    ck_assert_int_eq(walk(LONG_ADDRESS, GUEST_ANY), 0);
    ck_assert_uint_eq(got.user, (flags & U) != 0);
    ck_assert_uint_eq(got.rights, MEZZ_EPT_READ | (flags & W ? MEZZ_EPT_WRITE : 0) |
                                      (flags & NX ? 0 : MEZZ_EPT_EXECUTE));
}
END_TEST

START_TEST(rights_of_other_modes)
{
    pae_mode(0, 0); /* a PDPTE has no rights to give or to take */
    ck_assert_int_eq(walk(SHORT_ADDRESS, GUEST_WRITE | GUEST_USER), 0);
    ck_assert_int_eq(walk(SHORT_ADDRESS, GUEST_FETCH | GUEST_USER), 0);
    pae_mode(1, PAGE | P | NX);
    ck_assert_int_eq(walk(SHORT_ADDRESS, GUEST_READ), 0);
    faults(SHORT_ADDRESS, GUEST_FETCH, GUEST_FAULT_RIGHTS, 0x11, 1);
    faults(SHORT_ADDRESS, GUEST_READ | GUEST_USER, GUEST_FAULT_RIGHTS, 0x5, 1);
    mode_32_bit(2, TABLE(1) | P | U);
    ck_assert_int_eq(walk(SHORT_ADDRESS, GUEST_FETCH | GUEST_USER), 0);
    faults(SHORT_ADDRESS, GUEST_WRITE | GUEST_USER, GUEST_FAULT_RIGHTS, 0x7, 1);
}
END_TEST

/* Error codes of page faults: P 1, W 2, U 4, RSVD 8, I 16. */
START_TEST(error_codes)
{
    long_mode(3, TABLE(2) & ~P);
    faults(LONG_ADDRESS, GUEST_READ, GUEST_FAULT_NOT_PRESENT, 0x0, 3);
    ck_assert_uint_eq(fault.table.value, TABLE(3) + 8);
    faults(LONG_ADDRESS, GUEST_WRITE, GUEST_FAULT_NOT_PRESENT, 0x2, 3);
    faults(LONG_ADDRESS, GUEST_FETCH | GUEST_USER, GUEST_FAULT_NOT_PRESENT, 0x14, 3);
    paging.efer = EFER_LONG;
    faults(LONG_ADDRESS, GUEST_FETCH | GUEST_USER, GUEST_FAULT_NOT_PRESENT, 0x4, 3);
    paging.cr4 |= SMEP;
    faults(LONG_ADDRESS, GUEST_FETCH, GUEST_FAULT_NOT_PRESENT, 0x10, 3);
    long_mode(1, PAGE | P);
    faults(LONG_ADDRESS, GUEST_WRITE | GUEST_USER, GUEST_FAULT_RIGHTS, 0x7, 1);
    long_mode(4, TABLE(3) | FULL | LARGE);
    faults(LONG_ADDRESS, GUEST_ANY, GUEST_FAULT_RESERVED, 0x9, 4);
    mode_32_bit(2, 0);
    faults(SHORT_ADDRESS, GUEST_FETCH, GUEST_FAULT_NOT_PRESENT, 0x0, 2);
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
        paging.efer = (paging.efer & ~EFER_NXE) | reserved_table[_i].efer;
        paging.physical_bits = reserved_table[_i].width;
        code = walk(reserved_table[_i].linear, GUEST_ANY);
        ck_assert_msg((code == -EFAULT && fault.kind == GUEST_FAULT_RESERVED) == reserved,
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
    paging.physical_bits = 36;
    faults(SHORT_ADDRESS, GUEST_ANY, GUEST_FAULT_RESERVED, 0x9, 2);
}
END_TEST

/* A table that cannot be read ends the walk there. */
START_TEST(unreadable_table)
{
    const unsigned int level = (unsigned int)_i + 1;

    long_mode(0, 0);
    hole = TABLE(level);
    ck_assert_int_eq(walk(LONG_ADDRESS, GUEST_READ), -EFAULT);
    ck_assert_int_eq(fault.kind, GUEST_FAULT_TABLE);
    ck_assert_uint_eq(fault.level, level);
    ck_assert_uint_eq(fault.table.value / PAGE_SIZE, level);
    ck_assert_uint_eq(reads, 5 - level);
}
END_TEST

/* A table that is its own table: four reads, and an end. */
START_TEST(table_that_leads_to_itself)
{
    long_mode(0, 0);
    set(TABLE(4), 511, TABLE(4) | FULL, 8);
    leads_to(0xffffffffffffffff, TABLE(4) + 0xfff, 4096, 4);
}
END_TEST

START_TEST(reading_across_pages)
{
    const uint64_t linear = (LONG_ADDRESS & ~0xfffULL) + 0xffa;
    uint8_t bytes[16] = {0};

    long_mode(0, 0);
    set(TABLE(1), 2, (PAGE + 0x3000) | FULL, 8);
    memcpy(l2 + PAGE + 0xffa, "abcdef", 6);
    memcpy(l2 + PAGE + 0x3000, "ghijklmno", 9);
    ck_assert_int_eq(guest_read(&paging, linear, GUEST_FETCH, bytes, 15, &reader, &fault), 15);
    ck_assert_mem_eq(bytes, "abcdefghijklmno", 15);
    ck_assert_int_eq(fault.kind, GUEST_FAULT_NONE);
    hole = PAGE + 0x3000;
    ck_assert_int_eq(guest_read(&paging, linear, GUEST_FETCH, bytes, 15, &reader, &fault), 6);
    ck_assert_int_eq(fault.kind, GUEST_FAULT_MEMORY);
    ck_assert_uint_eq(fault.table.value, PAGE + 0x3000);
    ck_assert_uint_eq(fault.linear, linear + 6);
    set(TABLE(1), 2, (PAGE + 0x3000) | FULL | NX, 8);
    ck_assert_int_eq(guest_read(&paging, linear, GUEST_FETCH, bytes, 15, &reader, &fault), 6);
    ck_assert_int_eq(fault.kind, GUEST_FAULT_RIGHTS);
    ck_assert_int_eq(guest_read(&paging, linear, GUEST_ANY, bytes, 4097, &reader, &fault), -EINVAL);
    ck_assert_int_eq(guest_read(&paging, linear, GUEST_ANY, bytes, 0, &reader, &fault), 0);
}
END_TEST

/* Behind the last linear address: 0 with 32 bits, nothing with 64. */
START_TEST(reading_past_the_end)
{
    uint8_t bytes[8];

    paging = (struct guest_paging){0};
    memcpy(l2, "zero", 4);
    hole = 0;
    ck_assert_int_eq(guest_read(&paging, 0x100000000, GUEST_ANY, bytes, 4, &reader, &fault), 4);
    ck_assert_mem_eq(bytes, "zero", 4);
    long_mode(0, 0);
    ck_assert_int_eq(guest_read(&paging, 0x7fffffffffff, GUEST_ANY, bytes, 4, &reader, &fault), 0);
    ck_assert_int_eq(fault.kind, GUEST_FAULT_NOT_PRESENT);
}
END_TEST

START_TEST(through_a_view)
{
    struct extent extents[] = {{l2_at(0x1000), l1_at(0x3000), 0x1000, MEZZ_EPT_RWX},
                               {l2_at(0x2000), l1_at(0x1000), 0x1000, MEZZ_EPT_READ},
                               {l2_at(0x4000), l1_at(0x5000), 0x1000, MEZZ_EPT_RWX}};
    const struct extent_table table = {extents, 3, 3};
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
          EACH(canonical, 6), ONCE(five_levels), EACH(rights, 4 * ELEMENTS(rights_table)),
          ONCE(rights_of_other_modes), ONCE(error_codes),
          EACH(reserved_bits, ELEMENTS(reserved_table)), ONCE(reserved_bits_of_32_bit_paging),
          EACH(unreadable_table, 4), ONCE(table_that_leads_to_itself), ONCE(reading_across_pages),
          ONCE(reading_past_the_end), ONCE(through_a_view))
