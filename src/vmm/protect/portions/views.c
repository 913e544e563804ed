/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "vmm/protect/portions/state.h"
#include "vmm/vmcs/x86.h"

/* What pages that no patch names keep. */
#define KEEP_ALL MEZZ_EPT_RWX
#define NO_CODE  (MEZZ_EPT_READ | MEZZ_EPT_WRITE)

static int patches_of(struct portions *portions, const struct view_plan *plan)
{
    if (plan->count > portions->patch_capacity) {
        struct view_patch *patch =
            realloc(portions->patch, plan->capacity * sizeof(*portions->patch));

        if (patch == NULL)
            return -ENOMEM;
        portions->patch = patch;
        portions->patch_capacity = plan->capacity;
    }
    for (size_t i = 0; i < plan->count; i++)
        portions->patch[i] =
            (struct view_patch){plan->page[i].frame, plan->page[i].rights, VIEW_PATCH_SAME};
    return 0;
}

/* Makes the view what portions->plan says, unless it is that already. */
static int set(struct portions *portions, uint32_t number)
{
    struct portion_view *view = &portions->view[number];
    struct view_plan before = view->plan;
    uint32_t others = number == 0 ? KEEP_ALL : NO_CODE;
    int code;

    if (view->kept != NULL)
        kept_space_drop(view->kept);
    if (view->overlay != NULL && view_plan_same(&view->plan, &portions->plan))
        return 0;
    code = patches_of(portions, &portions->plan);
    if (code == 0 && view->overlay == NULL) {
        code = space_overlay_create(&view->overlay, portions->l2->space, portions->patch,
                                    portions->plan.count, others);
        if (code == 0 && number != 0) {
            space_overlay_set_aside(view->overlay);
            space_overlay_bare(view->overlay);
        }
    } else if (code == 0) {
        code = space_overlay_replace(view->overlay, portions->patch, portions->plan.count, others);
    }
    if (code != 0)
        return code;
    view->plan = portions->plan;
    portions->plan = before;
    return 0;
}

/* Of all that the guest has, and of what the guard has. */
static int make(struct portions *portions, uint32_t number, uint64_t cr3, struct kept_space *kept)
{
    int code = address_space_read(&portions->space, &portions->memory, cr3, kept);

    if (code == 0)
        code = view_plan_portion(&portions->plan, portions->guard, number, &portions->space);
    if (code == -EFAULT || code == -E2BIG || code == -EOPNOTSUPP)
        return -EPERM;
    return code != 0 ? code : set(portions, number);
}

int portion_views_ready(struct portions *portions, uint32_t number)
{
    const uint64_t version = portion_guard_version(portions->guard);
    struct portion_view *view = &portions->view[number];
    uint64_t cr3 = 0;
    int code;

    if (portion_guard_view_portion(portions->guard, number, &cr3) == NULL)
        return -EPERM;
    if (view->kept == NULL)
        view->kept = kept_space_create();
    else if (kept_space_same(view->kept, &portions->memory, cr3, version))
        return 0;
    if (view->kept != NULL)
        kept_space_begin(view->kept, &portions->memory, cr3, version);
    code = make(portions, number, cr3, view->kept);
    if (code == 0 && view->kept != NULL)
        kept_space_end(view->kept);
    return code;
}

/* The view is nobody's any more, or it is not known what may be in it: a vCPU that is still there
 * has none of what portions have, and gets no further. */
static int show_nothing(struct portions *portions, uint32_t view)
{
    int code = view_plan_default(&portions->plan, portions->guard);

    return code != 0 ? code : set(portions, view);
}

/* A view that some vCPU sees: `number`. */
static int follow_seen(struct portions *portions, uint32_t number)
{
    bool inside = false;
    int code = -EPERM;

    for (unsigned int i = 0; i < MEZZ_MAX_L2_VCPUS; i++)
        inside = inside || portions->place[i].in.view == number;
    if (inside)
        code = portion_views_ready(portions, number);
    return code == -EPERM ? show_nothing(portions, number) : code;
}

int portion_views_follow(struct portions *portions)
{
    uint64_t version = portion_guard_version(portions->guard);
    int code;

    if (portions->version == version && portions->view[0].overlay != NULL)
        return 0;
    code = view_plan_default(&portions->plan, portions->guard);
    if (code == 0)
        code = set(portions, 0);
    /* Views that some vCPU is in; others are made ready when they are entered. */
    for (unsigned int i = 0; i < MEZZ_MAX_L2_VCPUS && code == 0; i++)
        if (portions->place[i].shown != 0)
            code = follow_seen(portions, portions->place[i].shown);
    if (code == 0)
        portions->version = version;
    return code;
}

int portion_views_show(struct portions *portions, struct l2_vcpu *vcpu)
{
    struct portion_place *place = portion_place_of(portions, vcpu);
    uint32_t view = place->in.view;
    int code;

    if (place->shown == view && vcpu->place.overlay == portions->view[view].overlay)
        return 0;
    code = l2_drain(vcpu);
    if (code != 0)
        return code;
    /* With CR0.TS nobody but the kernel gets at the registers that a gate leaves behind. */
    code = l2_switch_overlay(vcpu, portions->view[view].overlay,
                             l2_sregs(vcpu)->cr0 & CR0_TS ? CARRY_GATE : CARRY_ALL);
    if (code != 0)
        return code;
    place->shown = view;
    /* There are KVMs whose run page has no event where the vCPU still has one, that was delivered:
     * what the vCPU brings along takes its place. */
    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_EVENTS);
    kvm_vcpu_replaced(vcpu->kvm, KVM_SYNC_X86_EVENTS);
    return 0;
}

void portion_views_destroy(struct portions *portions)
{
    for (uint32_t i = 0; i <= PORTION_GUARD_VIEWS; i++) {
        space_overlay_destroy(portions->view[i].overlay);
        view_plan_destroy(&portions->view[i].plan);
        kept_space_destroy(portions->view[i].kept);
    }
    view_plan_destroy(&portions->plan);
    address_space_destroy(&portions->space);
    free(portions->patch);
}
