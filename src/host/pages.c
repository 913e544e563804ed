/* SPDX-License-Identifier: Apache-2.0 */
#include "host/pages.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    PAGE_FREE,
    PAGE_FIRST, /* of what was taken at once */
    PAGE_MORE
};

int root_pages_create(struct root_pages *pages, const struct memory *memory, uint64_t first,
                      size_t count)
{
    if (first % PAGE_SIZE != 0 || first > memory->size ||
        count > (memory->size - first) / PAGE_SIZE)
        return -EINVAL;
    *pages = (struct root_pages){.memory = memory, .first = first, .count = count};
    pages->taken = calloc(count + 1, 1);
    return pages->taken == NULL ? -ENOMEM : 0;
}

void root_pages_destroy(struct root_pages *pages)
{
    free(pages->taken);
    *pages = (struct root_pages){0};
}

static bool are_free(const struct root_pages *pages, size_t index, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (pages->taken[index + i] != PAGE_FREE)
            return false;
    return true;
}

int root_pages_take(struct root_pages *pages, size_t count, uint64_t *offset)
{
    if (count == 0)
        return -EINVAL;
    for (size_t index = 0; index < pages->count && count <= pages->count - index; index++) {
        if (!are_free(pages, index, count))
            continue;
        memset(&pages->taken[index], PAGE_MORE, count);
        pages->taken[index] = PAGE_FIRST;
        *offset = pages->first + index * PAGE_SIZE;
        memset(pages->memory->base + *offset, 0, count * PAGE_SIZE);
        return 0;
    }
    return -ENOSPC;
}

/* Whether [index, index + count) is what one call took. */
static bool is_taken(const struct root_pages *pages, size_t index, size_t count)
{
    if (pages->taken[index] != PAGE_FIRST)
        return false;
    for (size_t i = 1; i < count; i++)
        if (pages->taken[index + i] != PAGE_MORE)
            return false;
    return index + count == pages->count || pages->taken[index + count] != PAGE_MORE;
}

static bool find(const struct root_pages *pages, uint64_t offset, size_t *index)
{
    if (offset < pages->first || (offset - pages->first) / PAGE_SIZE >= pages->count)
        return false;
    *index = (size_t)((offset - pages->first) / PAGE_SIZE);
    return true;
}

int root_pages_give(struct root_pages *pages, uint64_t offset, size_t count)
{
    size_t index;

    if (offset % PAGE_SIZE != 0 || count == 0 || !find(pages, offset, &index) ||
        count > pages->count - index || !is_taken(pages, index, count))
        return -EINVAL;
    memset(&pages->taken[index], PAGE_FREE, count);
    /* A host that keeps the memory has it zeroed when it is taken again. */
    madvise(pages->memory->base + offset, count * PAGE_SIZE, MADV_REMOVE);
    return 0;
}

void *root_pages_pointer(const struct root_pages *pages, uint64_t offset, uint64_t length)
{
    size_t index;

    if (!find(pages, offset, &index) || length > pages->first + pages->count * PAGE_SIZE - offset)
        return NULL;
    for (uint64_t at = offset & ~(PAGE_SIZE - 1); at < offset + length; at += PAGE_SIZE)
        if (pages->taken[(at - pages->first) / PAGE_SIZE] == PAGE_FREE)
            return NULL;
    return pages->memory->base + offset;
}
