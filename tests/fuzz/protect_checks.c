/* SPDX-License-Identifier: Apache-2.0 */
#include "protect_checks.h"

#include <stdio.h>
#include <stdlib.h>

#include "fake_kvm.h"
#include "protect_world.h"
#include "views/space_internal.h"
#include "vmm/machine_state.h"
#include "vmm/protect/portions/state.h"
#include "vmm/vmcs/x86.h"

/* Nothing here is what inputs are to reach. */
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)

void protect_must(bool holds, const char *what, uint64_t frame)
{
    if (holds)
        return;
    fprintf(stderr, "page 0x%llx: %s\n", (unsigned long long)frame, what);
    abort();
}

/* Of those that are sorted by their pages, the first that is not before this one. Not by the root's
 * own search, whose every step would be recorded: this is done for each run. */
static size_t first_patch(const struct space_overlay *overlay, uint64_t page)
{
    size_t low = 0;
    size_t high = overlay->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (overlay->patch[middle].page < page)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t protect_rights(const struct l2_vcpu *vcpu, uint64_t frame)
{
    const struct space_overlay *overlay = vcpu->place.overlay;
    const size_t i = first_patch(overlay, frame);

    return i < overlay->count && overlay->patch[i].page == frame ? overlay->patch[i].rights
                                                                 : overlay->others;
}

/* --- who comes into a view --- */

static struct {
    const struct kvm_run *run; /* NULL: nobody */
    uint32_t view;
    bool other_mode;
} last;

void protect_forget(void)
{
    last.run = NULL;
}

void protect_left(const struct kvm_run *run)
{
    const struct kvm_sregs *sregs = &run->s.regs.sregs;

    if (run == last.run)
        last.other_mode = !(sregs->efer & EFER_LMA) || !sregs->cs.l;
}

void protect_entered(const struct l2_vcpu *vcpu, uint32_t view)
{
    const struct kvm_run *run = vcpu->kvm->run;

    protect_must(run != last.run || !last.other_mode || view == 0 || view == last.view,
                 "is of the last exit, and the view was entered outside of 64-bit mode",
                 run->s.regs.regs.rip);
    last.run = run;
    last.view = view;
    last.other_mode = false;
}

/* --- slots show what the overlay says, and no more --- */

static void check_page(const struct l2_vcpu *vcpu, const struct fake_slot *slot, uint64_t page,
                       const struct view_patch *patch)
{
    const struct machine *machine = vcpu->l2->machine;
    const uint64_t base = (uint64_t)(uintptr_t)machine->memory.base;
    const bool remap = vcpu->l2->space->config.engine == ENGINE_REMAP;
    const struct extent *mapped =
        remap ? extent_table_find(&vcpu->place.core->vm->window.mapped, l2_at(page)) : NULL;
    const uint64_t host = remap && mapped != NULL ? base + machine->l1_memory.offset +
                                                        mapped->l1.value + (page - mapped->l2.value)
                                                  : slot->host + (page - slot->address);
    const uint32_t rights = patch != NULL ? patch->rights : vcpu->place.overlay->others;

    /* What is not mapped nobody gets at (remap_window.h). */
    if (remap && mapped == NULL)
        return;
    protect_must((rights & (MEZZ_EPT_READ | MEZZ_EPT_EXECUTE)) ==
                     (MEZZ_EPT_READ | MEZZ_EPT_EXECUTE),
                 "has a slot, and should have none", page);
    protect_must(rights & MEZZ_EPT_WRITE || slot->flags & KVM_MEM_READONLY ||
                     (remap && !(mapped->rights & MEZZ_EPT_WRITE)),
                 "can be written, and should not be", page);
    if (patch != NULL && patch->backing != VIEW_PATCH_SAME)
        protect_must(host == base + patch->backing, "is not the page of the root's own", page);
    else
        protect_must(host - base < machine->l1_memory.size, "is no page of L1's", page);
}

static void check_slot(void *context, const struct fake_slot *slot)
{
    const struct l2_vcpu *vcpu = context;
    const struct space_overlay *overlay = vcpu->place.overlay;
    const uint64_t end = slot->address + slot->size;
    size_t next = first_patch(overlay, slot->address);

    for (uint64_t at = slot->address; at < end && at < WORLD_PAGES * PAGE_SIZE; at += PAGE_SIZE) {
        const bool patched = next < overlay->count && overlay->patch[next].page == at;

        check_page(vcpu, slot, at, patched ? &overlay->patch[next] : NULL);
        next += patched;
    }
}

void protect_check_slots(struct l2_vcpu *vcpu, unsigned int vm)
{
    fake_kvm_each_slot(vm, check_slot, vcpu);
}

/* --- portions --- */

static struct {
    struct portion_guard_frame frame[2 * PORTION_GUARD_CLAIMS];
    size_t count;
} guarded;

static int note_frame(void *context, const struct portion_guard_frame *frame)
{
    (void)context;
    if (guarded.count == sizeof(guarded.frame) / sizeof(guarded.frame[0]))
        abort();
    guarded.frame[guarded.count++] = *frame;
    return 0;
}

static bool is_of_view(uint64_t frame, uint32_t view)
{
    for (size_t i = 0; i < guarded.count; i++)
        if (guarded.frame[i].frame == frame && guarded.frame[i].view == view)
            return true;
    return false;
}

void protect_check_portions(struct l2_vcpu *vcpu, unsigned int vm)
{
    struct portions *portions = (struct portions *)vcpu->l2->policy;
    const uint32_t view = portion_place_of(portions, vcpu)->in.view;

    protect_must(vcpu->place.overlay != NULL, "no overlay", 0);
    /* What is only logged happens. */
    if (world_table.portion[0].on_refusal != REFUSAL_LOG)
        protect_entered(vcpu, view);
    guarded.count = 0;
    portion_guard_each_frame(portions->guard, note_frame, NULL);
    for (size_t i = 0; i < guarded.count; i++)
        if (view == 0 || !is_of_view(guarded.frame[i].frame, view))
            protect_must(protect_rights(vcpu, guarded.frame[i].frame) == 0,
                         "is a portion's, and seen outside", guarded.frame[i].frame);
    protect_check_slots(vcpu, vm);
}

#pragma clang attribute pop
