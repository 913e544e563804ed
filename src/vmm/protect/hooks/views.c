/* SPDX-License-Identifier: Apache-2.0 */
/* The guard's views as overlays, and its pages as pages of the root. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/hot.h"
#include "vmm/machine_state.h"
#include "vmm/protect/hooks/policy_state.h"
#include "vmm/vmcs/x86.h"

#define NONE UINT64_MAX

static int put(struct hook_policy *guard, const uint8_t *bytes, uint64_t *offset)
{
    struct root_pages *pages = &guard->l2->machine->root_pages;
    int code;

    *offset = NONE;
    if (bytes == NULL)
        return 0;
    code = root_pages_take(pages, 1, offset);
    if (code != 0) {
        *offset = NONE;
        return code;
    }
    memcpy(root_pages_pointer(pages, *offset, PAGE_SIZE), bytes, PAGE_SIZE);
    return 0;
}

int hook_views_create(struct hook_policy *guard)
{
    const struct hook_plan *plan = guard->config->plan;
    int code = 0;

    guard->content = calloc(plan->pages + 1, sizeof(*guard->content));
    if (guard->content == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < plan->pages; i++)
        guard->content[i] = (struct hook_content){NONE, NONE};
    /* Side by side where the pages are, as remap maps runs of them. */
    for (size_t i = 0; i < plan->pages && code == 0; i++)
        if (!(plan->page[i].kind == HOOK_PAGE_DATA || plan->page[i].kind == HOOK_PAGE_EXCHANGE))
            code = put(guard, plan->page[i].secure, &guard->content[i].secure);
    for (size_t i = 0; i < plan->pages && code == 0; i++)
        code = put(guard, plan->page[i].shown, &guard->content[i].shown);
    return code;
}

void hook_views_destroy(struct hook_policy *guard)
{
    struct root_pages *pages = &guard->l2->machine->root_pages;

    for (size_t i = 0; i <= HOOK_VIEWS; i++)
        if (guard->view[i].overlay != NULL)
            space_overlay_destroy(guard->view[i].overlay);
    for (size_t i = 0; guard->content != NULL && i < guard->config->plan->pages; i++) {
        if (guard->content[i].shown != NONE)
            root_pages_give(pages, guard->content[i].shown, 1);
        if (guard->content[i].secure != NONE)
            root_pages_give(pages, guard->content[i].secure, 1);
    }
    free(guard->content);
    free(guard->patch);
}

static uint64_t backing_of(const struct hook_policy *guard, const uint8_t *bytes)
{
    const struct hook_plan *plan = guard->config->plan;

    for (size_t i = 0; bytes != NULL && i < plan->pages; i++) {
        if (plan->page[i].secure == bytes)
            return guard->content[i].secure;
        if (plan->page[i].shown == bytes)
            return guard->content[i].shown;
    }
    return VIEW_PATCH_SAME;
}

static bool is_patched(const struct hook_policy *guard, uint64_t page)
{
    for (size_t i = 0; i < guard->patches; i++)
        if (guard->patch[i].page == page)
            return true;
    return false;
}

static int add_patch(void *context, const struct hook_patch *patch)
{
    struct hook_policy *guard = context;

    if (is_patched(guard, patch->frame))
        return 0;
    if (guard->patches == guard->patch_capacity) {
        size_t capacity = 2 * guard->patch_capacity + 128;
        struct view_patch *more = realloc(guard->patch, capacity * sizeof(*more));

        if (more == NULL)
            return -ENOMEM;
        guard->patch = more;
        guard->patch_capacity = capacity;
    }
    guard->patch[guard->patches++] =
        (struct view_patch){patch->frame, patch->rights, backing_of(guard, patch->content)};
    return 0;
}

COLD static int remake(struct hook_policy *guard, uint32_t number, uint64_t version)
{
    struct hook_view *view = &guard->view[number];
    int code;

    guard->patches = 0;
    code = hook_each_patch(guard->hooks, number, add_patch, guard);
    if (code != 0)
        return code;
    if (view->overlay == NULL) {
        code = space_overlay_create(&view->overlay, guard->l2->space, guard->patch, guard->patches,
                                    MEZZ_EPT_RWX);
        if (code == 0 && number != 0)
            space_overlay_set_aside(view->overlay);
    } else {
        code = space_overlay_replace(view->overlay, guard->patch, guard->patches, MEZZ_EPT_RWX);
    }
    if (code == 0)
        view->version = version;
    return code;
}

/* Makes the overlay what the guard says now. */
HOT static int refresh(struct hook_policy *guard, uint32_t number)
{
    const struct hook_view *view = &guard->view[number];
    const uint64_t version = hook_version(guard->hooks, number);

    return view->overlay != NULL && view->version == version ? 0 : remake(guard, number, version);
}

COLD static int follow(struct hook_policy *guard, struct l2_vcpu *vcpu)
{
    int code = refresh(guard, 0);

    /* In the views that vCPUs are in, what is one's own now is nowhere, too. */
    for (unsigned int i = 0; i < MEZZ_MAX_L2_VCPUS && code == 0; i++) {
        const uint32_t shown = guard->place[i].shown;

        if (shown != 0 && hook_view_exists(guard->hooks, shown))
            code = refresh(guard, shown);
    }
    if (code == 0)
        l2_stop_others(vcpu);
    return code;
}

HOT int hook_views_follow(struct hook_policy *guard, struct l2_vcpu *vcpu)
{
    if (guard->view[0].overlay != NULL && guard->view[0].version == hook_version(guard->hooks, 0))
        return 0;
    return follow(guard, vcpu);
}

/* In a security view the guest has one address space, and no kernel that alters it. Another vCPU's
 * kernel may until this one has its turn: then nobody knows. */
static void wall_off(struct hook_policy *guard, struct l2_vcpu *vcpu, uint32_t view)
{
    const bool apart = guard->config->plan->defences & HOOK_KERNEL_NX &&
                       guard->l2->machine->l1_count == 1 &&
                       hook_tables_apart(guard, l2_sregs(vcpu)->cr3);

    space_overlay_wall_off(guard->view[view].overlay, apart ? guard->view[0].overlay : NULL);
}

HOT int hook_views_show(struct hook_policy *guard, struct l2_vcpu *vcpu)
{
    struct hook_place *place = hook_place_of(guard, vcpu);
    uint32_t view = place->in.view;
    int code = hook_views_follow(guard, vcpu);

    if (code == 0)
        code = refresh(guard, view);
    if (code != 0)
        return code;
    if (place->shown == view && vcpu->place.overlay == guard->view[view].overlay)
        return 0;
    if (view != 0 && space_has_walls(guard->l2->space))
        wall_off(guard, vcpu, view);
    /* With CR0.TS set nobody but the kernel gets at the registers that a gate leaves behind. */
    code = l2_switch_overlay(vcpu, guard->view[view].overlay,
                             l2_sregs(vcpu)->cr0 & CR0_TS ? CARRY_GATE : CARRY_ALL);
    if (code == 0)
        place->shown = view;
    return code;
}
