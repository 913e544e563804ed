/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_PAGES_H
#define HOST_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "host/memory.h"

/*
 * Pages of the machine's memory that are the root's own: a piece of the memfd that no level has, by
 * offset. What is not taken costs nothing.
 */
struct root_pages {
    const struct memory *memory;
    uint64_t first; /* offset of the piece */
    size_t count;
    uint8_t *taken;
};

/* first and count: within the memory. -ENOMEM, -EINVAL. */
int root_pages_create(struct root_pages *pages, const struct memory *memory, uint64_t first,
                      size_t count);
void root_pages_destroy(struct root_pages *pages);

/* That many pages in a row, all zero. *offset: of the first. -ENOSPC, -EINVAL. */
int root_pages_take(struct root_pages *pages, size_t count, uint64_t *offset);
/* Their memory goes back to the host. Pages that were not taken together, and those that were not
 * taken at all, are -EINVAL and stay. */
int root_pages_give(struct root_pages *pages, uint64_t offset, size_t count);

/* The only way to the bytes: NULL unless all of it was taken. */
void *root_pages_pointer(const struct root_pages *pages, uint64_t offset, uint64_t length);

#endif
