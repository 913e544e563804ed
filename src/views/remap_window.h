/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_REMAP_WINDOW_H
#define VIEWS_REMAP_WINDOW_H

#include "views/ept12.h"

/*
 * Host addresses for the L2-physical ones of one VM, in which the backing can be exchanged beneath
 * the slots: what lies at `base` + L2 address is, for each extent, the piece of the machine's
 * memory behind it.
 */
struct remap_window {
    uint8_t *base;
    uint64_t size;
    struct extent_table mapped;
    struct extent_table layout;
};

/* Beyond this an L2-physical address cannot be in a window. */
#define REMAP_WINDOW_LIMIT (1ULL << 42)

void remap_window_destroy(struct remap_window *window);

/* Room for all addresses of the extents. *moved: `base` is another one, nothing is mapped, and no
 * slot may point to the former one any more; it is asked for before anything is altered. -EFBIG
 * beyond REMAP_WINDOW_LIMIT. */
bool remap_window_fits(const struct remap_window *window, const struct extent_table *extents);
int remap_window_grow(struct remap_window *window, const struct extent_table *extents);

/* Maps what is not mapped that way already. A negative errno leaves a mixture: the caller maps the
 * extents from before again. */
int remap_window_map(struct remap_window *window, const struct l1_memory *l1,
                     const struct extent_table *extents);

/* Which slots the extents need: neighbours with the same rights are one, whatever their backing. L1
 * addresses are offsets in the window. The table is the window's, until the next call. */
int remap_window_layout(struct remap_window *window, const struct extent_table *extents,
                        const struct extent_table **layout);

#endif
