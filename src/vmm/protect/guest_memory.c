/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/protect/guest_memory.h"

#include <errno.h>
#include <string.h>

#include "host/hot.h"
#include "views/overlay.h"
#include "vmm/l2.h"
#include "vmm/machine_state.h"

#define SPACE_MASK 0x000ffffffffff000ULL

HOT uint64_t guest_space(uint64_t cr3)
{
    return cr3 & SPACE_MASK;
}

COLD static void forget(const struct guest_memory *memory)
{
    struct guest_known *known = memory->known;

    known->eptp = memory->vcpu->place.eptp;
    known->changes = space_changes(memory->vcpu->l2->space);
    memset(known->at, 0, sizeof(known->at));
}

HOT void guest_memory_look(struct guest_memory *memory, struct l2_vcpu *vcpu)
{
    const struct kvm_sregs *sregs = &vcpu->kvm->run->s.regs.sregs;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
    memory->vcpu = vcpu;
    memory->paging = (struct guest_paging){.cr0 = sregs->cr0,
                                           .cr4 = sregs->cr4,
                                           .efer = sregs->efer,
                                           .rflags = vcpu->kvm->run->s.regs.regs.rflags};
}

/* What the view has as it is is EPT12's, and found without a walk of that. */
static bool is_in_view(const struct l2_vcpu *vcpu, uint64_t physical, l1_address *l1)
{
    struct space_overlay *overlay = vcpu->place.overlay;
    const struct extent *extent = space_view_extent(vcpu->place.view, l2_at(physical), 1);

    if (extent == NULL || extent->rights != MEZZ_EPT_RWX ||
        (overlay != NULL && space_overlay_find(overlay, l2_at(physical)) != NULL))
        return false;
    *l1 = l1_at(extent->l1.value + (physical - extent->l2.value));
    return true;
}

COLD static int look_up(const struct guest_memory *memory, uint64_t physical, l1_address *l1)
{
    struct ept12_translation translation;

    if (is_in_view(memory->vcpu, physical, l1))
        return 0;
    if (space_view_lookup_ept(memory->vcpu->place.view, l2_at(physical), &translation) != 0 ||
        translation.rights == 0)
        return -EFAULT;
    *l1 = translation.l1;
    return 0;
}

HOT static uint8_t *find(const struct guest_memory *memory, uint64_t physical)
{
    struct guest_known *known = memory->known;
    const uint64_t offset = physical % PAGE_SIZE;
    const uint64_t page = physical - offset;
    const size_t at = page / PAGE_SIZE % GUEST_KNOWN;
    l1_address l1;

    if (known->eptp != memory->vcpu->place.eptp ||
        known->changes != space_changes(memory->vcpu->l2->space))
        forget(memory);
    if (known->at[at] == NULL || known->page[at] != page) {
        known->at[at] = NULL;
        if (look_up(memory, page, &l1) == 0)
            known->at[at] = l1_pointer(&memory->vcpu->l2->machine->l1_memory, l1, PAGE_SIZE);
        known->page[at] = page;
    }
    return known->at[at] == NULL ? NULL : known->at[at] + offset;
}

const void *guest_memory_at(const struct guest_memory *memory, uint64_t physical)
{
    return find(memory, physical);
}

HOT static size_t piece(uint64_t physical, size_t length)
{
    size_t left = (size_t)(PAGE_SIZE - physical % PAGE_SIZE);

    return left < length ? left : length;
}

COLD static int read_long(const struct guest_memory *memory, uint64_t physical, void *to,
                          size_t length)
{
    uint8_t *next = to;

    while (length > 0) {
        size_t part = piece(physical, length);
        const uint8_t *from = find(memory, physical);

        if (from == NULL)
            return -EFAULT;
        memcpy(next, from, part);
        physical += part;
        next += part;
        length -= part;
    }
    return 0;
}

HOT int guest_memory_read(const struct guest_memory *memory, uint64_t physical, void *to,
                          size_t length)
{
    const uint8_t *from;

    if (length != sizeof(uint64_t) || physical % PAGE_SIZE > PAGE_SIZE - sizeof(uint64_t))
        return read_long(memory, physical, to, length);
    /* A word, as most. */
    from = find(memory, physical);
    if (from == NULL)
        return -EFAULT;
    memcpy(to, from, sizeof(uint64_t));
    return 0;
}

int guest_memory_write(struct guest_memory *memory, uint64_t physical, const void *from,
                       size_t length)
{
    const uint8_t *next = from;

    memory->writes++;
    while (length > 0) {
        size_t part = piece(physical, length);
        uint8_t *to = find(memory, physical);

        space_wrote(memory->vcpu->l2->space, l2_at(physical), part);
        if (to == NULL)
            return -EFAULT;
        memcpy(to, next, part);
        physical += part;
        next += part;
        length -= part;
    }
    return 0;
}

HOT static const void *pointer(void *context, l2_address address, size_t length)
{
    const struct guest_memory *memory = context;

    (void)length; /* of an entry: within a page */
    if (memory->barred != NULL && memory->barred(memory->owner, address.value & ~(PAGE_SIZE - 1))) {
        memory->known->met_barred = true;
        return NULL;
    }
    return find(memory, address.value);
}

COLD static int walk(const struct guest_memory *memory, uint64_t cr3, uint64_t linear,
                     unsigned int access, uint64_t *physical)
{
    const struct walked_memory walked = {pointer, (void *)(uintptr_t)memory,
                                         memory->vcpu->place.eptp,
                                         space_changes(memory->vcpu->l2->space) + memory->version};
    struct guest_paging paging = memory->paging;
    struct guest_translation translation;
    struct guest_fault fault;

    paging.cr3 = cr3;
    if (kept_walk(&memory->known->walks, &walked, &translation, &paging, linear, access, &fault) !=
        0) {
        const int code = memory->known->met_barred ? -EACCES : -EFAULT;

        memory->known->met_barred = false;
        return code;
    }
    *physical = translation.address.value;
    return 0;
}

HOT int guest_memory_translate(const struct guest_memory *memory, uint64_t cr3, uint64_t linear,
                               unsigned int access, uint64_t *physical)
{
    const uint64_t page = linear & ~(PAGE_SIZE - 1);
    const struct kept_walk *kept =
        kept_walk_find(&memory->known->walks, memory->vcpu->place.eptp,
                       space_changes(memory->vcpu->l2->space) + memory->version, &memory->paging,
                       cr3, page, access);

    if (kept == NULL)
        return walk(memory, cr3, linear, access, physical);
    *physical = kept->translation.address.value + (linear - page);
    return 0;
}

int guest_memory_read_linear(const struct guest_memory *memory, uint64_t cr3, uint64_t linear,
                             void *to, size_t length)
{
    uint8_t *next = to;
    uint64_t physical;

    while (length > 0) {
        size_t part = piece(linear, length);

        if (guest_memory_translate(memory, cr3, linear, GUEST_ANY, &physical) != 0 ||
            guest_memory_read(memory, physical, next, part) != 0)
            return -EFAULT;
        linear += part;
        next += part;
        length -= part;
    }
    return 0;
}
