/* SPDX-License-Identifier: Apache-2.0 */
#include "host/hot.h"
#include "views/carry.h"
#include "views/space_internal.h"

/* What the processor walks by itself may be stale in the sibling's TLB, and in nothing else. */
static inline bool can_be_told(const struct view_core *to)
{
    return to->tlb != 0 && to->tlb == to->vm->tlb.address;
}

/* Where the vCPU is in a VM of its own for the view, which has run for it, and has all that
 * CARRY_GATE would fetch by an ioctl. NULL: the long way. */
static inline struct view_core *sibling(const struct view_vcpu *vcpu, const struct space_view *view)
{
    struct view_core *from = vcpu->core;
    struct view_core *to;

    if (view->vm == NULL || view->stale)
        return NULL;
    to = view->vm->core[vcpu->number];
    if (to == NULL || to == from || !to->used || to->msrs != vcpu->msrs ||
        dirty_ring_has(&from->ring))
        return NULL;
    return carry_base_may_differ(&to->kvm, &from->kvm) ? NULL : to;
}

HOT bool view_vcpu_go_over(struct view_vcpu *vcpu, struct space_view *view)
{
    const bool flush = vcpu->space->config.host->paging.kind == PAGING_HARDWARE;
    struct view_core *to = sibling(vcpu, view);

    if (to == NULL || (flush && !can_be_told(to)))
        return false;
    if (flush)
        tlb_page_ask(&to->vm->tlb, vcpu->number);
    carry_run_page(&to->kvm, &vcpu->core->kvm);
    vcpu->core = to;
    vcpu->kvm = &to->kvm;
    return true;
}
