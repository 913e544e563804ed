/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_EPT12_H
#define VIEWS_EPT12_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/memory.h"
#include "mezz/ept.h"
#include "mezz/errors.h"

/*
 * EPT12 (mezz/ept.h, SDM 29.3.2): extended page tables that L1 wrote, so hostile, and that it may
 * change while they are read. Each entry is read exactly once, and only that copy is looked at.
 *
 * Rights are the MEZZ_EPT_READ, _WRITE and _EXECUTE of all levels together (SDM 29.3.3.1): RWX,
 * R-X, RW- and R--. An entry of any level with other rights is refused.
 *
 * With MEZZ_EPTP_DIRTY_FLAGS a leaf that is not DIRTY has no W: its first write is the root's to
 * see.
 *
 * Functions return 0, -ENOMEM for the host's, or a positive enum mezz_error for L1's mistakes:
 *
 *     MEZZ_E_EPT_FORMAT    EPTP: not write-back, not 4 levels, reserved bits
 *                          entry: reserved bits (in large leaves: a misaligned address), a memory
 *                          type other than write-back
 *     MEZZ_E_EPT_ADDRESS   a table or a page is not in L1's memory
 *     MEZZ_E_EPT_ACCESS    -W- or -WX: an EPT misconfiguration (SDM 29.3.3.1)
 *     MEZZ_E_UNSUPPORTED   --X: KVM has no execute-only memory
 *     MEZZ_E_EPT_LIMIT     more than EPT12_EXTENT_LIMIT extents or EPT12_TABLE_LIMIT tables
 */

/* KVM has 32,764 slots a VM; some are the root's own. */
#define EPT12_EXTENT_LIMIT 32000U
/* With MEZZ_EPTP_DIRTY_FLAGS each first write may split an extent in three, and must not fail for
 * that. Behind so many extents no leaf has W, DIRTY or not, so that what follows is split no more:
 * the root carries out the writes that the leaves allow. */
#define EPT12_TRACKED_LIMIT 31000U
/* Tables that one walk reads, shared ones as often as they are reached: 8 GiB in 4 KiB pages, and
 * an L1 has at most 2 GiB. It bounds the time of a walk over tables that refer to each other, 512^4
 * otherwise, to some 50 ms. */
#define EPT12_TABLE_LIMIT 4096U

/* A run of L2-physical memory that is backed by a run of L1-physical memory. */
struct extent {
    l2_address l2;
    l1_address l1;
    uint64_t length; /* bytes, a multiple of PAGE_SIZE, not 0 */
    uint32_t rights; /* MEZZ_EPT_READ | ... */
};

/* By L2 address, not overlapping; neighbours that could be one extent are one. Zeroed: empty. */
struct extent_table {
    struct extent *extent;
    size_t count;
    size_t capacity;
    bool withheld; /* leaves behind EPT12_TRACKED_LIMIT were to have W */
};

/* Where a walk stopped, for a message. */
struct ept12_fault {
    uint64_t entry;     /* as it was read; the EPTP when level is 0 */
    l2_address l2;      /* the first address that the entry covers */
    unsigned int level; /* 4 PML4E .. 1 PTE; 0: the EPTP */
};

/*
 * Leaves that the root altered and that L1 has not put into its EPT12 yet (mezz/vmcs12.h,
 * synchronization records). While the entry in memory is `from`, walks and lookups take `to`; when
 * it is anything else L1 has been there, and the edit is over. By L2 address. Zeroed: empty.
 */
struct ept12_edit {
    l2_address l2; /* of the page */
    uint64_t from;
    uint64_t to;
    bool told; /* L1 has the record */
    bool used; /* by the last walk */
};

struct ept12_edits {
    struct ept12_edit *edit;
    size_t count;
    size_t capacity;
    size_t untold;
};

/* Adds an edit, or takes the place of the one for the same page. -ENOMEM. */
int ept12_edits_add(struct ept12_edits *edits, l2_address l2, uint64_t from, uint64_t to);
/* Takes back an edit that could not be carried out: L1 is not told of it. */
void ept12_edits_remove(struct ept12_edits *edits, l2_address l2);
/* L1 says that its EPT12 is the truth (INVEPT): forgets what it was told of. */
void ept12_edits_forget_told(struct ept12_edits *edits);
void ept12_edits_destroy(struct ept12_edits *edits);

/* Whom a walk asks now and then, within a millisecond or so, whether it is to be left undone. */
struct ept12_until {
    bool (*over)(void *context); /* NULL: never */
    void *context;
};

/* ept12_walk and ept12_lookup with edits, which may be NULL. A walk that succeeds removes those
 * that are over. until may be NULL; -EINTR: it was over, and as after any failure the table is
 * empty and the edits are what they were. */
int ept12_walk_edited(struct extent_table *table, const struct l1_memory *l1, uint64_t eptp,
                      struct ept12_edits *edits, const struct ept12_until *until,
                      struct ept12_fault *fault);

/* Walks all of EPT12 into `table`, which is empty or from an earlier walk (its memory is used
 * again). When it fails the table is empty. fault may be NULL. */
int ept12_walk(struct extent_table *table, const struct l1_memory *l1, uint64_t eptp,
               struct ept12_fault *fault);

struct ept12_translation {
    l1_address l1;      /* of the very byte; undefined without rights */
    uint64_t page_size; /* of the leaf, or of what the entry that is not present would cover */
    uint32_t rights;    /* 0: not present */
    uint64_t leaf;      /* the entry, after edits; undefined without rights */
    l2_address page;    /* that it maps */
};

int ept12_lookup_edited(struct ept12_translation *translation, const struct l1_memory *l1,
                        uint64_t eptp, l2_address address, struct ept12_edits *edits,
                        struct ept12_fault *fault);

/* A look-up of rights that need not be made again: as long as the entries that it read are what
 * they were, and nothing is edited, it comes to the same. Zeroed: nothing is kept. */
struct ept12_kept {
    uint64_t eptp;
    uint64_t page;
    uint32_t rights;
    unsigned int entries;
    const uint64_t *at[4];
    uint64_t entry[4];
};

/* The rights now; of an EPT12 with a mistake there, none. */
uint32_t ept12_rights(struct ept12_kept *kept, const struct l1_memory *l1, uint64_t eptp,
                      l2_address address, struct ept12_edits *edits);

/* Translates one address; an entry that is not present is no error. `address` past 2^48 is not
 * present. fault may be NULL. */
int ept12_lookup(struct ept12_translation *translation, const struct l1_memory *l1, uint64_t eptp,
                 l2_address address, struct ept12_fault *fault);

/* The extent that holds the address, or NULL. */
const struct extent *extent_table_find(const struct extent_table *table, l2_address address);

void extent_table_destroy(struct extent_table *table);

/* Three letters and a NUL, for example "r-x". */
const char *ept12_rights_text(uint32_t rights);

#endif
