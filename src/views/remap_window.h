/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_REMAP_WINDOW_H
#define VIEWS_REMAP_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "views/ept12.h"

/*
 * Host addresses for the L2-physical ones of one VM, in which the backing can be exchanged beneath
 * the slots: what lies at `base` + L2 address is, for each extent, the piece of the machine's
 * memory behind it.
 *
 * Slots may stay where a view has fewer rights than they say: the mapping holds back what the view
 * lacks. KVM cannot read a page that is not mapped, nor write one that is mapped for reading.
 * What the guest does there without KVM's emulator ends KVM_RUN with -EFAULT and nothing done;
 * slots that are made exact then have it end as it is to end (space.h).
 */
struct remap_window {
    uint8_t *base;
    uint64_t size;
    struct extent_table mapped; /* with R or RW; the rest of the window cannot be accessed */
    struct extent_table layout; /* the slots */
    struct extent_table spare;
    bool soft;          /* a slot is there for more than what the view has */
    uint8_t exact_left; /* for so many views slots are exact: it did not pay */
    uint8_t soft_shows; /* since slots were made exact */
};

/* Beyond this an L2-physical address cannot be in a window. */
#define REMAP_WINDOW_LIMIT (1ULL << 42)

void remap_window_destroy(struct remap_window *window);

/* Room for all addresses of the extents: no slot may point to the window any more, and nothing is
 * mapped afterwards. -EFBIG beyond REMAP_WINDOW_LIMIT. */
bool remap_window_fits(const struct remap_window *window, const struct extent_table *extents);
int remap_window_grow(struct remap_window *window, const struct extent_table *extents);

/*
 * When slots stay that give more than the view has.
 *
 * KVM that shadows page tables keeps a shadow of a table in memory that is not mapped any more, and
 * of one that no slot has it keeps none. So where a view is not even to read what was there before,
 * its slot goes: LAYOUT_READABLE. What only cannot be written or executed may be a table as before,
 * and of what was not mapped there is no shadow.
 */
enum layout_mode {
    LAYOUT_EXACT,    /* never */
    LAYOUT_READABLE, /* where the view may read, or the one before lacked it, too */
    LAYOUT_ANY
};

/* Which slots the extents need: neighbours with the same rights are one, whatever their backing,
 * but slots that were there stay as they are as long as they can. *changed: they are others. */
int remap_window_layout(struct remap_window *window, const struct extent_table *extents,
                        enum layout_mode mode, bool *changed);

/* Maps what is not mapped that way already, for the slots of the layout. After a negative errno
 * what is mapped is a mixture, and the window is to be destroyed. */
int remap_window_map(struct remap_window *window, const struct l1_memory *l1,
                     const struct extent_table *extents);

/* The guest met what the mapping holds back: where that is frequent, slots are cheaper. */
void remap_window_met(struct remap_window *window);
/* A view is about to be shown: whether slots are to be exact. */
bool remap_window_is_frequent(struct remap_window *window);

#endif
