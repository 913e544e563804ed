/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PROTECT_PORTIONS_KEPT_SPACE_H
#define VMM_PROTECT_PORTIONS_KEPT_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/protect/guest_memory.h"

/*
 * What an address space was read from, so that it need not be read again: what the vCPU's registers
 * said, and each table, entry and byte that was looked at, with where it lies in the root's memory.
 * As long as all of that is what it was, reading it again comes to the same. Accessed and dirty
 * flags of entries do not count. What is too large to be kept is read each time.
 */
struct kept_space;

/* NULL: no memory, and nothing is kept. */
struct kept_space *kept_space_create(void);
void kept_space_destroy(struct kept_space *kept);

/* To be called before the space is read: `version` stands for what else the outcome comes of. */
void kept_space_begin(struct kept_space *kept, const struct guest_memory *memory, uint64_t cr3,
                      uint64_t version);
/* The outcome is there, and so is all that it was read from, if that had room. */
void kept_space_end(struct kept_space *kept);
/* The outcome is there no more. */
void kept_space_drop(struct kept_space *kept);

/* What is read is looked at once, and noted as it was then. kept: may be NULL, and nothing is. */
/* An entry of 8 bytes. */
int kept_space_read_entry(struct kept_space *kept, const struct guest_memory *memory,
                          uint64_t physical, uint64_t *entry);
/* Entries, from a table's start on. */
int kept_space_read_table(struct kept_space *kept, const struct guest_memory *memory,
                          uint64_t physical, uint64_t *entries, size_t count);
/* Bytes within a page. */
int kept_space_read_bytes(struct kept_space *kept, const struct guest_memory *memory,
                          uint64_t physical, void *to, size_t length);

/* Whether all of it is as it was when kept_space_end() was called. */
bool kept_space_same(const struct kept_space *kept, const struct guest_memory *memory, uint64_t cr3,
                     uint64_t version);

#endif
