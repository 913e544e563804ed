/* SPDX-License-Identifier: Apache-2.0 */
#include "protect_checks.h"

#include <stdio.h>
#include <stdlib.h>

#include "fake_kvm.h"
#include "protect_world.h"
#include "vmm/machine_state.h"
#include "vmm/protect/portion_state.h"

/* Nothing here is what inputs are to reach. */
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)

void protect_must(bool holds, const char *what, uint64_t frame)
{
    if (holds)
        return;
    fprintf(stderr, "page 0x%llx: %s\n", (unsigned long long)frame, what);
    abort();
}

uint32_t protect_rights(const struct l2_vcpu *vcpu, uint64_t frame)
{
    const struct view_patch *patch = space_overlay_find(vcpu->place.overlay, l2_at(frame));

    return patch != NULL ? patch->rights : space_overlay_others(vcpu->place.overlay);
}

/* --- slots show what the overlay says, and no more --- */

static void check_page(const struct l2_vcpu *vcpu, const struct fake_slot *slot, uint64_t page)
{
    const struct machine *machine = vcpu->l2->machine;
    const uint64_t base = (uint64_t)(uintptr_t)machine->memory.base;
    const uint64_t host = slot->host + (page - slot->address);
    const struct view_patch *patch = space_overlay_find(vcpu->place.overlay, l2_at(page));
    const uint32_t rights = protect_rights(vcpu, page);

    protect_must((rights & (MEZZ_EPT_READ | MEZZ_EPT_EXECUTE)) ==
                     (MEZZ_EPT_READ | MEZZ_EPT_EXECUTE),
                 "has a slot, and should have none", page);
    protect_must(rights & MEZZ_EPT_WRITE || slot->flags & KVM_MEM_READONLY,
                 "can be written, and should not be", page);
    if (space_engine(vcpu->l2->space) == ENGINE_REMAP)
        return;
    if (patch != NULL && patch->backing != VIEW_PATCH_SAME)
        protect_must(host == base + patch->backing, "is not the page of the root's own", page);
    else
        protect_must(host - base < machine->l1_memory.size, "is no page of L1's", page);
}

static void check_slot(void *context, const struct fake_slot *slot)
{
    for (uint64_t at = 0; at < slot->size; at += PAGE_SIZE)
        if (slot->address + at < WORLD_PAGES * (uint64_t)PAGE_SIZE)
            check_page(context, slot, slot->address + at);
}

void protect_check_slots(struct l2_vcpu *vcpu, unsigned int vm)
{
    fake_kvm_each_slot(vm, check_slot, vcpu);
}

/* --- portions --- */

struct looking {
    const struct guard *guard;
    const struct l2_vcpu *vcpu;
    uint32_t view;
    uint64_t frame;
};

static int is_of_view(void *context, const struct guard_frame *frame)
{
    const struct looking *looking = context;

    return frame->frame == looking->frame && frame->view == looking->view;
}

static int check_frame(void *context, const struct guard_frame *frame)
{
    struct looking looking = *(const struct looking *)context;

    looking.frame = frame->frame;
    if (looking.view == 0 || guard_each_frame(looking.guard, is_of_view, &looking) == 0)
        protect_must(protect_rights(looking.vcpu, frame->frame) == 0,
                     "is a portion's, and seen outside", frame->frame);
    return 0;
}

void protect_check_portions(struct l2_vcpu *vcpu, unsigned int vm)
{
    struct portions *portions = (struct portions *)vcpu->l2->policy;
    const struct guard_vcpu *in = &portion_place_of(portions, vcpu)->in;
    struct looking looking = {portions->guard, vcpu, in->view, 0};

    protect_must(vcpu->place.overlay != NULL, "no overlay", 0);
    guard_each_frame(portions->guard, check_frame, &looking);
    protect_check_slots(vcpu, vm);
}

#pragma clang attribute pop
