/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/exits/guest_walk.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "host/hot.h"

#define CR0_WP         (1ULL << 16)
#define CR0_PG         (1ULL << 31)
#define CR4_PSE        (1ULL << 4)
#define CR4_PAE        (1ULL << 5)
#define CR4_LA57       (1ULL << 12)
#define CR4_SMEP       (1ULL << 20)
#define CR4_SMAP       (1ULL << 21)
#define EFER_LMA       (1ULL << 10)
#define EFER_NXE       (1ULL << 11)
#define RFLAGS_AC      (1ULL << 18)

#define ENTRY_PRESENT  (1ULL << 0)
#define ENTRY_WRITABLE (1ULL << 1)
#define ENTRY_USER     (1ULL << 2)
#define ENTRY_LARGE    (1ULL << 7)
#define ENTRY_NX       (1ULL << 63)
#define ENTRY_ADDRESS  0x000ffffffffff000ULL

/* Error code of a page fault (SDM 4.7). */
#define FAULT_PRESENT  (1U << 0)
#define FAULT_WRITE    (1U << 1)
#define FAULT_USER     (1U << 2)
#define FAULT_RESERVED (1U << 3)
#define FAULT_FETCH    (1U << 4)

#define PHYSICAL_BITS  52U
#define LINEAR_BITS    48U
#define READ_LIMIT     4096U

/* A paging mode: SDM 4.3, 4.4 and 4.5. */
struct mode {
    unsigned int levels;
    unsigned int index_bits;
    unsigned int entry_size; /* bytes */
    uint64_t cr3_address;    /* the bits of CR3 that are the top table's address */
};

static const struct mode mode_32_bit = {2, 10, 4, 0xfffff000};
static const struct mode mode_pae = {3, 9, 8, 0xffffffe0};
static const struct mode mode_long = {4, 9, 8, ENTRY_ADDRESS};

/* The state of one walk. */
struct walk {
    const struct guest_paging *paging;
    const struct guest_reader *reader;
    const struct mode *mode;
    struct guest_fault *fault;
    uint64_t linear;
    unsigned int access;
    unsigned int level;
    uint64_t table; /* physical address of the table, then of the entry */
    bool writable;
    bool user;
    bool executable;
};

static unsigned int shift_of(const struct mode *mode, unsigned int level)
{
    return 12 + mode->index_bits * (level - 1);
}

static uint64_t physical_mask(const struct guest_paging *paging)
{
    unsigned int bits = paging->physical_bits;

    if (bits == 0 || bits > PHYSICAL_BITS)
        bits = PHYSICAL_BITS;
    return (1ULL << bits) - 1;
}

static int fail(const struct walk *walk, enum guest_fault_kind kind)
{
    const struct guest_paging *paging = walk->paging;
    const bool fetch_bit =
        (paging->cr4 & CR4_SMEP) || (walk->mode != &mode_32_bit && (paging->efer & EFER_NXE));
    uint32_t code = 0;

    if (kind == GUEST_FAULT_RESERVED)
        code |= FAULT_PRESENT | FAULT_RESERVED;
    if (kind == GUEST_FAULT_RIGHTS)
        code |= FAULT_PRESENT;
    if (walk->access & GUEST_WRITE)
        code |= FAULT_WRITE;
    if (walk->access & GUEST_USER)
        code |= FAULT_USER;
    if ((walk->access & GUEST_FETCH) && fetch_bit)
        code |= FAULT_FETCH;
    *walk->fault = (struct guest_fault){.kind = kind,
                                        .error_code = code,
                                        .linear = walk->linear,
                                        .level = walk->level,
                                        .table = l2_at(walk->table)};
    return -EFAULT;
}

static bool is_large(const struct walk *walk, uint64_t entry)
{
    if (!(entry & ENTRY_LARGE))
        return false;
    if (walk->mode == &mode_32_bit)
        return walk->level == 2 && (walk->paging->cr4 & CR4_PSE);
    return walk->level == 2 || (walk->level == 3 && walk->mode == &mode_long);
}

/* The reserved bits of an entry with 8 bytes (SDM tables 4-9 to 4-11 and 4-15 to 4-20). */
static uint64_t reserved_bits(const struct walk *walk, bool large)
{
    uint64_t reserved = ENTRY_ADDRESS & ~physical_mask(walk->paging);

    if (walk->mode == &mode_pae) {
        reserved |= 0x7ff0000000000000;
        if (walk->level == 3)
            return reserved | ENTRY_NX | 0x1e6;
    }
    if (!(walk->paging->efer & EFER_NXE))
        reserved |= ENTRY_NX;
    if (large)
        reserved |= (1ULL << shift_of(walk->mode, walk->level)) - (1ULL << 13);
    if (walk->level == 4)
        reserved |= ENTRY_LARGE;
    return reserved;
}

/* A page of 4 MiB: bits 20:13 are the address's bits 39:32, bit 21 is reserved (SDM table 4-4). */
static uint64_t large_32_bit_address(uint64_t entry)
{
    return (entry & 0xffc00000) | (entry & 0x1fe000) << 19;
}

static bool has_reserved_bits(const struct walk *walk, uint64_t entry, bool large)
{
    if (walk->mode != &mode_32_bit)
        return entry & reserved_bits(walk, large);
    return large &&
           ((entry & (1ULL << 21)) || (large_32_bit_address(entry) & ~physical_mask(walk->paging)));
}

/* The entry of this level, read once. */
static int read_entry(struct walk *walk, uint64_t *entry)
{
    const uint64_t index = (walk->linear >> shift_of(walk->mode, walk->level)) &
                           ((1ULL << walk->mode->index_bits) - 1);
    uint32_t short_entry;

    /* Four PDPTEs: bits 31:30 of the address, which has no more. */
    walk->table += index * walk->mode->entry_size;
    if (walk->mode->entry_size == sizeof(*entry)) {
        if (walk->reader->read(walk->reader->context, l2_at(walk->table), entry, sizeof(*entry)))
            return fail(walk, GUEST_FAULT_TABLE);
        return 0;
    }
    if (walk->reader->read(walk->reader->context, l2_at(walk->table), &short_entry,
                           sizeof(short_entry)))
        return fail(walk, GUEST_FAULT_TABLE);
    *entry = short_entry;
    return 0;
}

static void narrow_rights(struct walk *walk, uint64_t entry)
{
    if (walk->mode == &mode_pae && walk->level == 3)
        return;
    walk->writable = walk->writable && (entry & ENTRY_WRITABLE);
    walk->user = walk->user && (entry & ENTRY_USER);
    walk->executable = walk->executable && !(entry & ENTRY_NX);
}

/* SDM 4.6.1. */
static bool is_allowed(const struct walk *walk)
{
    const struct guest_paging *paging = walk->paging;
    const bool user_access = walk->access & GUEST_USER;

    if (walk->access & GUEST_ANY)
        return true;
    if (user_access && !walk->user)
        return false;
    if (walk->access & GUEST_FETCH)
        return walk->executable && (user_access || !walk->user || !(paging->cr4 & CR4_SMEP));
    if (!user_access && walk->user && (paging->cr4 & CR4_SMAP) && !(paging->rflags & RFLAGS_AC))
        return false;
    return !(walk->access & GUEST_WRITE) || walk->writable ||
           (!user_access && !(paging->cr0 & CR0_WP));
}

static int finish(const struct walk *walk, uint64_t entry, bool large,
                  struct guest_translation *translation)
{
    const uint64_t page_size = 1ULL << shift_of(walk->mode, walk->level);
    uint64_t base = entry & ENTRY_ADDRESS;

    if (!is_allowed(walk))
        return fail(walk, GUEST_FAULT_RIGHTS);
    if (large)
        base = walk->mode == &mode_32_bit ? large_32_bit_address(entry) : base & ~(page_size - 1);
    *translation = (struct guest_translation){
        .address = l2_at(base | (walk->linear & (page_size - 1))),
        .page_size = page_size,
        .rights = (unsigned int)(MEZZ_EPT_READ | (walk->writable ? MEZZ_EPT_WRITE : 0) |
                                 (walk->executable ? MEZZ_EPT_EXECUTE : 0)),
        .user = walk->user,
    };
    return 0;
}

static int walk_levels(struct walk *walk, struct guest_translation *translation)
{
    uint64_t entry;
    bool large;
    int code;

    walk->table = walk->paging->cr3 & walk->mode->cr3_address & physical_mask(walk->paging);
    for (walk->level = walk->mode->levels;; walk->level--) {
        code = read_entry(walk, &entry);
        if (code)
            return code;
        if (!(entry & ENTRY_PRESENT))
            return fail(walk, GUEST_FAULT_NOT_PRESENT);
        large = is_large(walk, entry);
        if (has_reserved_bits(walk, entry, large))
            return fail(walk, GUEST_FAULT_RESERVED);
        narrow_rights(walk, entry);
        if (large || walk->level == 1)
            return finish(walk, entry, large, translation);
        walk->table = entry & ENTRY_ADDRESS;
    }
}

static bool is_canonical(uint64_t linear)
{
    const uint64_t high = linear >> (LINEAR_BITS - 1);

    return high == 0 || high == (1ULL << (64 - LINEAR_BITS + 1)) - 1;
}

static const struct mode *mode_of(const struct guest_paging *paging)
{
    if (paging->efer & EFER_LMA)
        return &mode_long;
    return paging->cr4 & CR4_PAE ? &mode_pae : &mode_32_bit;
}

int guest_walk(struct guest_translation *translation, const struct guest_paging *paging,
               uint64_t linear, unsigned int access, const struct guest_reader *reader,
               struct guest_fault *fault)
{
    struct walk walk = {.paging = paging,
                        .reader = reader,
                        .mode = mode_of(paging),
                        .fault = fault,
                        .linear = linear,
                        .access = access,
                        .writable = true,
                        .user = true,
                        .executable = true};

    *fault = (struct guest_fault){.kind = GUEST_FAULT_NONE};
    if (walk.mode != &mode_long)
        walk.linear = (uint32_t)linear;
    if (!(paging->cr0 & CR0_PG)) {
        *translation =
            (struct guest_translation){l2_at(walk.linear), PAGE_SIZE, MEZZ_EPT_RWX, true};
        return 0;
    }
    if (walk.mode == &mode_long && (paging->cr4 & CR4_LA57))
        return -EOPNOTSUPP;
    if (walk.mode == &mode_long && !is_canonical(linear))
        return fail(&walk, GUEST_FAULT_NOT_CANONICAL);
    return walk_levels(&walk, translation);
}

int guest_read(const struct guest_paging *paging, uint64_t linear, unsigned int access, void *to,
               size_t length, const struct guest_reader *reader, struct guest_fault *fault)
{
    struct guest_translation translation;
    size_t done = 0;
    int code;

    *fault = (struct guest_fault){.kind = GUEST_FAULT_NONE};
    if (length > READ_LIMIT)
        return -EINVAL;
    while (done < length) {
        const uint64_t at = linear + done;
        size_t chunk = PAGE_SIZE - at % PAGE_SIZE;

        if (chunk > length - done)
            chunk = length - done;
        code = guest_walk(&translation, paging, at, access, reader, fault);
        if (code == -EOPNOTSUPP)
            return code;
        if (code)
            break;
        if (reader->read(reader->context, translation.address, (uint8_t *)to + done, chunk)) {
            *fault = (struct guest_fault){
                .kind = GUEST_FAULT_MEMORY, .linear = at, .table = translation.address};
            break;
        }
        done += chunk;
    }
    return (int)done;
}

int guest_view_read(void *context, l2_address address, void *to, size_t length)
{
    const struct guest_view *view = context;
    size_t done = 0;

    while (done < length) {
        const l2_address at = l2_at(address.value + done);
        const struct extent *extent = extent_table_find(view->extents, at);
        uint64_t offset;
        uint64_t chunk;

        if (extent == NULL)
            return -EFAULT;
        offset = at.value - extent->l2.value;
        chunk = extent->length - offset;
        if (chunk > length - done)
            chunk = length - done;
        if (l1_read(view->l1, l1_at(extent->l1.value + offset), (uint8_t *)to + done, chunk))
            return -EFAULT;
        done += chunk;
    }
    return 0;
}

HOT const void *guest_view_pointer(void *context, l2_address address, size_t length)
{
    const struct guest_view *view = context;
    const struct extent *extent = extent_table_find(view->extents, address);

    if (extent == NULL)
        return NULL;
    return l1_pointer(view->l1, l1_at(extent->l1.value + (address.value - extent->l2.value)),
                      length);
}
