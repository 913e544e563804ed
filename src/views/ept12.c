/* SPDX-License-Identifier: Apache-2.0 */
#include "views/ept12.h"
#include "host/hot.h"
#include "views/ept12_edits.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define L2_ADDRESS_BITS    48
#define EPTP_RESERVED      (~(MEZZ_EPT_ADDRESS | MEZZ_EPTP_LOW_MASK))
#define FIRST_CAPACITY     64U
#define LEVEL_PTE          1U
#define LEVEL_PML4E        4U
#define PAGE_SHIFT         12U
#define ENTRY_INDEX_BITS   9U
#define LARGEST_LEAF_LEVEL 3U
#define TABLES_AT_ONCE     64U /* between two looks at whether the time is over */

struct walk {
    const struct l1_memory *l1;
    struct extent_table *table;
    struct ept12_edits *edits;       /* or NULL */
    const struct ept12_until *until; /* or NULL */
    bool dirty_flags;
    unsigned int tables; /* read so far */
    struct ept12_fault fault;
};

/* Bytes that one entry of a level covers. */
static uint64_t span(unsigned int level)
{
    return PAGE_SIZE << (ENTRY_INDEX_BITS * (level - 1));
}

static unsigned int table_index(uint64_t l2, unsigned int level)
{
    return (unsigned int)(l2 >> (PAGE_SHIFT + ENTRY_INDEX_BITS * (level - 1))) % MEZZ_EPT_ENTRIES;
}

static uint64_t leaf_address(unsigned int level)
{
    return MEZZ_EPT_ADDRESS & ~(span(level) - 1);
}

/* What the entry says, when it is valid. */
enum entry_kind {
    ENTRY_ABSENT,
    ENTRY_TABLE,
    ENTRY_LEAF
};

static int check_rights(uint64_t entry)
{
    if (entry & MEZZ_EPT_READ)
        return 0;
    return entry & MEZZ_EPT_WRITE ? MEZZ_E_EPT_ACCESS : MEZZ_E_UNSUPPORTED;
}

HOT static int check_entry(const struct l1_memory *l1, uint64_t entry, unsigned int level,
                           enum entry_kind *kind)
{
    const uint64_t address = entry & MEZZ_EPT_ADDRESS;
    bool leaf;
    int code;

    *kind = ENTRY_ABSENT;
    if ((entry & MEZZ_EPT_RWX) == 0)
        return 0;
    code = check_rights(entry);
    if (code)
        return code;
    leaf = level == LEVEL_PTE || (level <= LARGEST_LEAF_LEVEL && (entry & MEZZ_EPT_LEAF));
    if (!leaf) {
        if (entry & MEZZ_EPT_TABLE_RESERVED)
            return MEZZ_E_EPT_FORMAT;
        *kind = ENTRY_TABLE;
        return l1_contains(l1, l1_at(address), PAGE_SIZE) ? 0 : MEZZ_E_EPT_ADDRESS;
    }
    if ((entry & MEZZ_EPT_MEMORY_TYPE) != MEZZ_EPT_WRITE_BACK || address % span(level) != 0)
        return MEZZ_E_EPT_FORMAT;
    *kind = ENTRY_LEAF;
    return l1_contains(l1, l1_at(address), span(level)) ? 0 : MEZZ_E_EPT_ADDRESS;
}

HOT static int check_eptp(const struct l1_memory *l1, uint64_t eptp)
{
    if ((eptp & MEZZ_EPTP_LOW_MASK & ~MEZZ_EPTP_DIRTY_FLAGS) !=
            (MEZZ_EPTP_WRITE_BACK | MEZZ_EPTP_LEVELS) ||
        (eptp & EPTP_RESERVED))
        return MEZZ_E_EPT_FORMAT;
    return l1_contains(l1, l1_at(eptp & MEZZ_EPT_ADDRESS), PAGE_SIZE) ? 0 : MEZZ_E_EPT_ADDRESS;
}

/* The caller has checked that the table is in L1's memory. */
HOT static const uint64_t *entries_of(const struct l1_memory *l1, uint64_t table)
{
    return l1_pointer(l1, l1_at(table), PAGE_SIZE);
}

/* L1 may write the entry at this very moment: this is its only read. */
HOT static uint64_t read_entry(const uint64_t *entries, unsigned int index)
{
    return __atomic_load_n(entries + index, __ATOMIC_RELAXED);
}

/* The leaf that the root really uses. L1 may meanwhile have put the same entry into a table of
 * another level, where it is a leaf of another size: what the root made of it must be a valid leaf
 * there, too. */
HOT static uint64_t edited(const struct l1_memory *l1, struct ept12_edits *edits, uint64_t l2,
                           uint64_t entry, unsigned int level)
{
    struct ept12_edit *edit = edits == NULL ? NULL : ept12_edits_find(edits, l2_at(l2));
    enum entry_kind kind;

    if (edit == NULL || edit->from != entry || check_entry(l1, edit->to, level, &kind) != 0 ||
        kind != ENTRY_LEAF)
        return entry;
    edit->used = true;
    return edit->to;
}

static uint32_t leaf_rights(uint64_t entry, bool dirty_flags)
{
    uint32_t rights = (uint32_t)(entry & MEZZ_EPT_RWX);

    if (dirty_flags && !(entry & MEZZ_EPT_DIRTY))
        rights &= ~(uint32_t)MEZZ_EPT_WRITE;
    return rights;
}

static int grow(struct extent_table *table)
{
    size_t capacity = table->capacity ? table->capacity * 2 : FIRST_CAPACITY;
    struct extent *extent;

    if (capacity > EPT12_EXTENT_LIMIT)
        capacity = EPT12_EXTENT_LIMIT;
    extent = realloc(table->extent, capacity * sizeof(*extent));
    if (extent == NULL)
        return -ENOMEM;
    table->extent = extent;
    table->capacity = capacity;
    return 0;
}

/* Leaves arrive in the order of their L2 addresses. */
static int add_leaf(struct extent_table *table, uint64_t l2, uint64_t l1, uint64_t length,
                    uint32_t rights)
{
    struct extent *last = table->count ? &table->extent[table->count - 1] : NULL;
    int code;

    if (last != NULL && last->rights == rights && last->l2.value + last->length == l2 &&
        last->l1.value + last->length == l1) {
        last->length += length;
        return 0;
    }
    if (table->count == EPT12_EXTENT_LIMIT)
        return MEZZ_E_EPT_LIMIT;
    if (table->count == table->capacity) {
        code = grow(table);
        if (code)
            return code;
    }
    table->extent[table->count++] = (struct extent){l2_at(l2), l1_at(l1), length, rights};
    return 0;
}

/* The rights of a leaf's extent. */
static uint32_t shown_rights(const struct walk *walk, uint64_t entry, uint32_t rights)
{
    rights &= leaf_rights(entry, walk->dirty_flags);
    if (!walk->dirty_flags || walk->table->count < EPT12_TRACKED_LIMIT ||
        !(rights & MEZZ_EPT_WRITE))
        return rights;
    walk->table->withheld = true;
    return rights & ~(uint32_t)MEZZ_EPT_WRITE;
}

static bool is_over(const struct walk *walk)
{
    const struct ept12_until *until = walk->until;

    return walk->tables % TABLES_AT_ONCE == 0 && until != NULL && until->over != NULL &&
           until->over(until->context);
}

static int walk_table(struct walk *walk, uint64_t address, unsigned int level, uint64_t l2,
                      uint32_t rights);

static int walk_entry(struct walk *walk, uint64_t entry, unsigned int level, uint64_t l2,
                      uint32_t rights)
{
    enum entry_kind kind;
    int code = check_entry(walk->l1, entry, level, &kind);

    if (code == 0 && kind == ENTRY_LEAF)
        entry = edited(walk->l1, walk->edits, l2, entry, level);
    if (code == 0 && kind == ENTRY_TABLE) {
        if (walk->tables == EPT12_TABLE_LIMIT)
            code = MEZZ_E_EPT_LIMIT;
        else
            return walk_table(walk, entry & MEZZ_EPT_ADDRESS, level - 1, l2,
                              rights & (uint32_t)(entry & MEZZ_EPT_RWX));
    }
    if (code == 0 && kind == ENTRY_LEAF)
        code = add_leaf(walk->table, l2, entry & leaf_address(level), span(level),
                        shown_rights(walk, entry, rights));
    if (code)
        walk->fault = (struct ept12_fault){.entry = entry, .l2 = l2_at(l2), .level = level};
    return code;
}

static int walk_table(struct walk *walk, uint64_t address, unsigned int level, uint64_t l2,
                      uint32_t rights)
{
    const uint64_t *entries = entries_of(walk->l1, address);
    int code = is_over(walk) ? -EINTR : 0;

    walk->tables++;
    for (unsigned int index = 0; index < MEZZ_EPT_ENTRIES && code == 0; index++) {
        const uint64_t entry = read_entry(entries, index);

        /* Most are absent. */
        if (entry & MEZZ_EPT_RWX)
            code = walk_entry(walk, entry, level, l2 + index * span(level), rights);
    }
    return code;
}

int ept12_walk_edited(struct extent_table *table, const struct l1_memory *l1, uint64_t eptp,
                      struct ept12_edits *edits, const struct ept12_until *until,
                      struct ept12_fault *fault)
{
    struct walk walk = {.l1 = l1,
                        .table = table,
                        .edits = edits,
                        .until = until,
                        .dirty_flags = eptp & MEZZ_EPTP_DIRTY_FLAGS,
                        .fault = {.entry = eptp}};
    int code;

    table->count = 0;
    table->withheld = false;
    if (edits != NULL)
        ept12_edits_unuse(edits);
    code = check_eptp(l1, eptp);
    if (code == 0)
        code = walk_table(&walk, eptp & MEZZ_EPT_ADDRESS, LEVEL_PML4E, 0, MEZZ_EPT_RWX);
    if (code)
        table->count = 0;
    else if (edits != NULL)
        ept12_edits_remove_unused(edits);
    if (code && fault != NULL)
        *fault = walk.fault;
    return code;
}

int ept12_walk(struct extent_table *table, const struct l1_memory *l1, uint64_t eptp,
               struct ept12_fault *fault)
{
    return ept12_walk_edited(table, l1, eptp, NULL, NULL, fault);
}

/* kept: NULL, or what is to have the entries that are read. */
static int look_up(struct ept12_translation *translation, const struct l1_memory *l1, uint64_t eptp,
                   l2_address address, struct ept12_edits *edits, struct ept12_kept *kept,
                   struct ept12_fault *fault)
{
    uint64_t entry = eptp;
    uint64_t page = 0;
    uint32_t rights = MEZZ_EPT_RWX;
    unsigned int level = 0;
    enum entry_kind kind = ENTRY_TABLE;
    int code = check_eptp(l1, eptp);

    *translation = (struct ept12_translation){.page_size = span(LEVEL_PML4E)};
    if (code == 0 && address.value >> L2_ADDRESS_BITS)
        return 0;
    for (unsigned int next = LEVEL_PML4E; code == 0 && kind == ENTRY_TABLE; next--) {
        const uint64_t *entries = entries_of(l1, entry & MEZZ_EPT_ADDRESS);

        level = next;
        page = address.value & ~(span(level) - 1);
        entry = read_entry(entries, table_index(address.value, level));
        if (kept != NULL) {
            kept->at[kept->entries] = entries + table_index(address.value, level);
            kept->entry[kept->entries++] = entry;
        }
        code = check_entry(l1, entry, level, &kind);
        if (kind == ENTRY_TABLE)
            rights &= (uint32_t)(entry & MEZZ_EPT_RWX);
    }
    if (code) {
        if (fault != NULL)
            *fault = (struct ept12_fault){entry, l2_at(page), level};
        return code;
    }
    translation->page_size = span(level);
    if (kind == ENTRY_LEAF) {
        entry = edited(l1, edits, page, entry, level);
        translation->rights = rights & leaf_rights(entry, eptp & MEZZ_EPTP_DIRTY_FLAGS);
        translation->l1 = l1_at((entry & leaf_address(level)) | (address.value - page));
        translation->leaf = entry;
        translation->page = l2_at(page);
    }
    return 0;
}

HOT int ept12_lookup_edited(struct ept12_translation *translation, const struct l1_memory *l1,
                            uint64_t eptp, l2_address address, struct ept12_edits *edits,
                            struct ept12_fault *fault)
{
    return look_up(translation, l1, eptp, address, edits, NULL, fault);
}

COLD static uint32_t look_up_rights(struct ept12_kept *kept, const struct l1_memory *l1,
                                    uint64_t eptp, uint64_t page, struct ept12_edits *edits)
{
    struct ept12_translation translation;

    *kept = (struct ept12_kept){.eptp = eptp, .page = page};
    if (look_up(&translation, l1, eptp, l2_at(page), edits, kept, NULL) != 0 || edits->count != 0) {
        kept->entries = 0;
        return translation.rights;
    }
    kept->rights = translation.rights;
    return kept->rights;
}

HOT uint32_t ept12_rights(struct ept12_kept *kept, const struct l1_memory *l1, uint64_t eptp,
                          l2_address address, struct ept12_edits *edits)
{
    const uint64_t page = address.value & ~(PAGE_SIZE - 1);
    uint64_t differ = (kept->eptp ^ eptp) | (kept->page ^ page) | edits->count;

    for (unsigned int i = 0; i < kept->entries && differ == 0; i++)
        differ = read_entry(kept->at[i], 0) ^ kept->entry[i];
    if (differ == 0 && kept->entries > 0)
        return kept->rights;
    return look_up_rights(kept, l1, eptp, page, edits);
}

int ept12_lookup(struct ept12_translation *translation, const struct l1_memory *l1, uint64_t eptp,
                 l2_address address, struct ept12_fault *fault)
{
    return ept12_lookup_edited(translation, l1, eptp, address, NULL, fault);
}

HOT const struct extent *extent_table_find(const struct extent_table *table, l2_address address)
{
    size_t low = 0;
    size_t high = table->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct extent *extent = &table->extent[middle];

        if (address.value < extent->l2.value)
            high = middle;
        else if (address.value - extent->l2.value >= extent->length)
            low = middle + 1;
        else
            return extent;
    }
    return NULL;
}

void extent_table_destroy(struct extent_table *table)
{
    free(table->extent);
    *table = (struct extent_table){0};
}

const char *ept12_rights_text(uint32_t rights)
{
    static const char text[][4] = {"---", "r--", "-w-", "rw-", "--x", "r-x", "-wx", "rwx"};

    return text[rights & MEZZ_EPT_RWX];
}
