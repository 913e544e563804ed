/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_LIB_EPT_H
#define L1_LIB_EPT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/arena.h"
#include "mezz/ept.h"

#define EPT_LARGE_SIZE 0x200000ULL

/* An EPT12 in the making: tables of the arena, four levels, leaves of 4 KiB and 2 MiB. */
struct ept {
    uint64_t root; /* the PML4 table */
    struct arena *arena;
    uint64_t *table; /* the one that was last looked up: its L2 address and what it spans */
    uint64_t table_start;
    uint64_t table_span;
};

/* False: the arena is empty. */
bool ept_init(struct ept *ept, struct arena *arena);

#define EPT_ALL_RIGHTS (MEZZ_EPT_RWX | MEZZ_EPT_WRITE_BACK)
#define EPT_COPIED_WHEN_WRITTEN \
    (MEZZ_EPT_READ | MEZZ_EPT_EXECUTE | MEZZ_EPT_WRITE_BACK | MEZZ_EPT_COPY_ON_WRITE)

/* Maps size bytes at l2 to those at l1 by leaves with these flags. All three are whole pages;
 * nothing may be mapped there yet. False: the arena is empty. */
bool ept_map(struct ept *ept, uint64_t l2, uint64_t l1, uint64_t size, uint64_t flags);

/* Tables of its own with what `from` has. False: the arena is empty. */
bool ept_copy(struct ept *ept, const struct ept *from);

/* One page of 4 KiB gets this leaf, 0 for none; a leaf of 2 MiB that it was part of becomes 512.
 * False: the arena is empty. */
bool ept_set_page(struct ept *ept, uint64_t l2, uint64_t leaf);

/* How much of the first size bytes lies in leaves that are marked as dirty. */
uint64_t ept_dirty_bytes(const struct ept *ept, uint64_t size);

/* The leaf that maps an L2 address, of whatever size; NULL: none. */
uint64_t *ept_leaf(const struct ept *ept, uint64_t l2);

#endif
