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

/* Maps size bytes at l2 to those at l1 with all rights. All three are whole pages; nothing may be
 * mapped there yet. False: the arena is empty. */
bool ept_map(struct ept *ept, uint64_t l2, uint64_t l1, uint64_t size);

/* Puts entry in the place of the 4 KiB leaf of an L2 page, and splits what is larger there. False:
 * the arena is empty. */
bool ept_set_page(struct ept *ept, uint64_t l2, uint64_t entry);

/* The leaf that maps an L2 page, as if it were one of 4 KiB; 0: none. */
uint64_t ept_page(const struct ept *ept, uint64_t l2);

#endif
