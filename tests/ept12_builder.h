/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_EPT12_BUILDER_H
#define TESTS_EPT12_BUILDER_H

#include <stdint.h>

#include "host/memory.h"
#include "mezz/ept.h"

/* An L1 with 2 GiB of memory that is not the start of the machine's, and an EPT12 in it. */
#define BUILDER_MEMORY (2ULL << 30)
#define BUILDER_TOP    0x1000ULL /* L1 address of the PML4 */
#define BUILDER_LEAF   (MEZZ_EPT_RWX | MEZZ_EPT_WRITE_BACK)

struct ept12_builder {
    struct memory memory;
    struct l1_memory l1;
    uint64_t next; /* L1 address of the next new table */
    uint64_t eptp;
};

/* These fail the test when they fail. */
void builder_create(struct ept12_builder *builder);
void builder_destroy(struct ept12_builder *builder);

/* Bytes that an entry of the level covers: 4 PML4E .. 1 PTE. */
uint64_t builder_span(unsigned int level);

/* The entry that covers an L2 address at a level, with RWX tables above it, made when missing. */
uint64_t *builder_entry(struct ept12_builder *builder, uint64_t l2, unsigned int level);

/* Maps a 4 KiB page, with rights MEZZ_EPT_READ | ... */
void builder_map(struct ept12_builder *builder, uint64_t l2, uint64_t l1, uint64_t rights);

#endif
