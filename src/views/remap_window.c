/* SPDX-License-Identifier: Apache-2.0 */
#include "views/remap_window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "views/slot_set.h"

#define WINDOW_GRAIN (1ULL << 30)

void remap_window_destroy(struct remap_window *window)
{
    if (window->base != NULL)
        munmap(window->base, window->size);
    extent_table_destroy(&window->mapped);
    extent_table_destroy(&window->layout);
    *window = (struct remap_window){0};
}

static uint64_t end_of(const struct extent_table *extents)
{
    const struct extent *last;

    if (extents->count == 0)
        return 0;
    last = &extents->extent[extents->count - 1];
    return last->l2.value + last->length;
}

bool remap_window_fits(const struct remap_window *window, const struct extent_table *extents)
{
    return end_of(extents) <= window->size;
}

int remap_window_grow(struct remap_window *window, const struct extent_table *extents)
{
    const uint64_t size = (end_of(extents) + WINDOW_GRAIN - 1) / WINDOW_GRAIN * WINDOW_GRAIN;
    void *base;

    if (size > REMAP_WINDOW_LIMIT)
        return -EFBIG;
    base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return -errno;
    if (window->base != NULL)
        munmap(window->base, window->size);
    window->base = base;
    window->size = size;
    window->mapped.count = 0;
    return 0;
}

static int reserve(struct extent_table *table, size_t count)
{
    struct extent *extent;

    if (count <= table->capacity)
        return 0;
    extent = realloc(table->extent, count * sizeof(*extent));
    if (extent == NULL)
        return -ENOMEM;
    table->extent = extent;
    table->capacity = count;
    return 0;
}

static int map(const struct remap_window *window, const struct l1_memory *l1, uint64_t l2,
               uint64_t from, uint64_t length)
{
    void *at =
        mmap(window->base + l2, length, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_FIXED | MAP_NORESERVE, l1->memory->fd, (off_t)(l1->offset + from));

    return at == MAP_FAILED ? -errno : 0;
}

/* The pieces of one extent that are not mapped that way: *old runs along the table with it. */
static int map_extent(struct remap_window *window, const struct l1_memory *l1,
                      const struct extent *extent, size_t *old)
{
    const struct extent_table *mapped = &window->mapped;
    uint64_t at = extent->l2.value;
    const uint64_t end = at + extent->length;

    while (at < end) {
        const struct extent *other;
        const uint64_t l1_here = extent->l1.value + (at - extent->l2.value);
        uint64_t until = end;
        int code = 0;

        while (*old < mapped->count &&
               mapped->extent[*old].l2.value + mapped->extent[*old].length <= at)
            (*old)++;
        other = *old < mapped->count ? &mapped->extent[*old] : NULL;
        if (other != NULL && other->l2.value > at) {
            until = other->l2.value < end ? other->l2.value : end;
            other = NULL;
        } else if (other != NULL) {
            until = other->l2.value + other->length < end ? other->l2.value + other->length : end;
        }
        if (other == NULL || other->l1.value + (at - other->l2.value) != l1_here)
            code = map(window, l1, at, l1_here, until - at);
        if (code != 0)
            return code;
        at = until;
    }
    return 0;
}

int remap_window_map(struct remap_window *window, const struct l1_memory *l1,
                     const struct extent_table *extents)
{
    struct extent_table mapped = {0};
    size_t old = 0;
    int code = reserve(&mapped, extents->count + 1);

    for (size_t i = 0; i < extents->count && code == 0; i++)
        code = map_extent(window, l1, &extents->extent[i], &old);
    if (code == 0) {
        if (extents->count > 0)
            memcpy(mapped.extent, extents->extent, extents->count * sizeof(*mapped.extent));
        mapped.count = extents->count;
    }
    /* After a failure nothing counts as mapped. */
    extent_table_destroy(&window->mapped);
    window->mapped = mapped;
    return code;
}

int remap_window_layout(struct remap_window *window, const struct extent_table *extents,
                        const struct extent_table **layout)
{
    struct extent_table *to = &window->layout;
    int code = reserve(to, extents->count + 1);

    if (code != 0)
        return code;
    to->count = 0;
    for (size_t i = 0; i < extents->count; i++) {
        const struct extent *extent = &extents->extent[i];
        struct extent *last = to->count > 0 ? &to->extent[to->count - 1] : NULL;

        if (last != NULL && last->rights == extent->rights &&
            last->l2.value + last->length == extent->l2.value)
            last->length += extent->length;
        else
            to->extent[to->count++] = (struct extent){extent->l2, l1_at(extent->l2.value),
                                                      extent->length, extent->rights};
    }
    *layout = to;
    return 0;
}
