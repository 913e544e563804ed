/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_OVERLAY_H
#define VIEWS_OVERLAY_H

#include "views/ept12.h"
#include "views/space.h"

/*
 * An overlay: what the root lays over any view of a space. It takes rights away, page by page or
 * from all that it does not name, and puts pages of the root's own into the place of L1's. What
 * EPT12 does not have it does not give.
 *
 * Rights that KVM has no slot for (RW-, R--) cost an exit for each data access: an overlay that
 * takes X from the rest of memory names page tables, descriptor tables and ring-0 stacks, which
 * have to stay RWX (docs/views.md), and what shall be fast.
 */
struct view_patch {
    uint64_t page;    /* L2-physical, page-aligned */
    uint32_t rights;  /* RWX, R-X, RW-, R-- or 0. Of L1's page: at most what EPT12 gives */
    uint64_t backing; /* offset in the machine's memory, beyond L1's; or VIEW_PATCH_SAME */
};

#define VIEW_PATCH_SAME UINT64_MAX

/* others: the rights that pages without a patch keep, as far as they have them: MEZZ_EPT_RWX, or
 * any that a patch may have. The patches are copied and need no order. -EINVAL: two for one page, a
 * page, rights or a backing that are none; -ENOMEM. */
int space_overlay_create(struct space_overlay **overlay, struct space *space,
                         const struct view_patch *patches, size_t count, uint32_t others);

/* In the place of what it was; the same errors, and nothing is altered then. vCPUs that are in it
 * see the new one when they next enter: whoever cannot wait has them kicked. */
int space_overlay_replace(struct space_overlay *overlay, const struct view_patch *patches,
                          size_t count, uint32_t others);

/* The caller's word on a guest that is about to run under `overlay`: while it does, no page table
 * is walked that lies where `from` has nothing and `overlay` something. Until the next word; NULL:
 * he does not know. Where KVM shadows page tables, remap needs no slots then to go from one to the
 * other. */
void space_overlay_wall_off(struct space_overlay *overlay, const struct space_overlay *from);
/* Whether that makes a difference. */
bool space_has_walls(const struct space *space);

/* The caller's word, before any vCPU is in it, that no kernel of the guest runs under it: such
 * views may be on side 1 of a VM (side.h), and all others that have an overlay are on side 0. */
void space_overlay_set_aside(struct space_overlay *overlay);

/* Before it is first shown: with flip its VMs have nothing that L1's memory and the patches have
 * not, neither the page of TLB records (tlb_page.h) nor the program that tells of page tables
 * (table_log.h), both of which a kernel could find and have executed. A switch into it then empties
 * the TLB by a KVM_RUN more, and a page table that was written elsewhere costs all translations. */
void space_overlay_bare(struct space_overlay *overlay);

/* -EBUSY while a vCPU is in it. */
int space_overlay_destroy(struct space_overlay *overlay);

size_t space_overlay_patches(const struct space_overlay *overlay);
uint32_t space_overlay_others(const struct space_overlay *overlay);

/* The patch of the page that holds the address, or NULL: good until the next one is found. The last
 * one is kept, since the same page is asked about again and again. */
const struct view_patch *space_overlay_find(struct space_overlay *overlay, l2_address address);

/* Lays it over the extents: `to` is empty or from an earlier call. -ENOMEM, or -E2BIG: more than
 * EPT12_EXTENT_LIMIT extents. */
int space_overlay_compose(const struct space_overlay *overlay, const struct extent_table *from,
                          struct extent_table *to);

#endif
