/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_LIB_VIEWS_H
#define L1_LIB_VIEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/ept.h"
#include "mezz/gate.h"

/*
 * The views of an L2: a list of EPT12s. A further view is mostly the first one with a few other
 * leaves: ept_copy(), then ept_set_page() for each page that differs. Views share no table, so that
 * what the root alters in one of them (dirty flags, copied pages) is that one's alone.
 */
struct views {
    uint64_t list; /* a page: an EPTP for each index */
    uint32_t count;
};

/* False: the arena is empty. */
bool views_init(struct views *views, struct arena *arena);

/* The next index gets this EPT12; flags: of its EPTP, as MEZZ_EPTP_DIRTY_FLAGS. False: there are
 * MEZZ_MAX_VIEWS. */
bool views_add(struct views *views, const struct ept *ept, uint64_t flags);
uint64_t views_eptp(const struct views *views, uint32_t index);

/* Tells the root: from now on the L2 has these views, and a gate. The root's answer; when an EPT12
 * is wrong, the index is in *bad. */
int64_t views_set(const struct views *views, uint32_t l2, uint64_t *bad);

/* From where the L2 may go through the gate: copied by the root. Without any, from everywhere. */
int64_t views_set_gate_sites(uint32_t l2, const struct mezz_gate_site *sites, uint32_t count);

#endif
