/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PROTECT_PORTIONS_VIEW_PLAN_H
#define VMM_PROTECT_PORTIONS_VIEW_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hookguard/portions/guard.h"
#include "vmm/protect/portions/address_space.h"

/*
 * Which pages a view has with which rights, where that is not the rule: the default view's rule is
 * that everything is as EPT12 says, a portion's that everything is, but not executable.
 *
 * In a portion's view some pages stay executable although nothing in them should be: what the
 * processor needs to deliver an event (KVM serves no other access to them than through a slot, and
 * a slot is executable), and, unless the portion is strict, the data of its program and its own,
 * which would be served access by access otherwise. Ring 3 cannot execute them as long as the
 * guest's tables say so, which is checked at each entry.
 */
struct plan_page {
    uint64_t frame;
    uint32_t rights; /* MEZZ_EPT_* */
};

/* By frame, each once. Zeroed: empty. */
struct view_plan {
    struct plan_page *page;
    size_t count;
    size_t capacity;
};

/* No frame of a portion. -ENOMEM. */
int view_plan_default(struct view_plan *plan, const struct portion_guard *guard);

/* For a view of the guard, whose portion runs in this address space. -ENOMEM; -EPERM: the kernel
 * wants events delivered by way of a portion's page, or their handlers would run inside. */
int view_plan_portion(struct view_plan *plan, const struct portion_guard *guard, uint32_t view,
                      const struct address_space *space);

/* What is left of EPT12's rights there: of a frame that is not listed, all. */
uint32_t view_plan_rights(const struct view_plan *plan, uint64_t frame);
bool view_plan_same(const struct view_plan *a, const struct view_plan *b);
void view_plan_destroy(struct view_plan *plan);

#endif
