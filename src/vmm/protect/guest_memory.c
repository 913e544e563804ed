/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/protect/guest_memory.h"

#include <errno.h>
#include <string.h>

#include "views/overlay.h"
#include "vmm/l2.h"
#include "vmm/machine_state.h"

#define SPACE_MASK 0x000ffffffffff000ULL

uint64_t guest_space(uint64_t cr3)
{
    return cr3 & SPACE_MASK;
}

static void forget(struct guest_known *known)
{
    if (known == NULL)
        return;
    memset(known->page, 0xff, sizeof(known->page));
    memset(known->entry, 0xff, sizeof(known->entry));
}

void guest_memory_look(struct guest_memory *memory, struct l2_vcpu *vcpu)
{
    const struct kvm_sregs *sregs = &vcpu->kvm->run->s.regs.sregs;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
    forget(memory->known);
    memory->vcpu = vcpu;
    memory->paging = (struct guest_paging){.cr0 = sregs->cr0,
                                           .cr4 = sregs->cr4,
                                           .efer = sregs->efer,
                                           .rflags = vcpu->kvm->run->s.regs.regs.rflags};
}

/* What the view has as it is is EPT12's, and found without a walk of that. */
static bool is_in_view(const struct l2_vcpu *vcpu, uint64_t physical, l1_address *l1)
{
    const struct space_overlay *overlay = vcpu->place.overlay;
    const struct extent *extent = space_view_extent(vcpu->place.view, l2_at(physical), 1);

    if (extent == NULL || extent->rights != MEZZ_EPT_RWX ||
        (overlay != NULL && space_overlay_find(overlay, l2_at(physical)) != NULL))
        return false;
    *l1 = l1_at(extent->l1.value + (physical - extent->l2.value));
    return true;
}

static int look_up(const struct guest_memory *memory, uint64_t physical, l1_address *l1)
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

/* One piece of a page. */
static int find(const struct guest_memory *memory, uint64_t physical, l1_address *l1)
{
    struct guest_known *known = memory->known;
    const uint64_t offset = physical % PAGE_SIZE;
    const uint64_t page = physical - offset;
    const size_t at = page / PAGE_SIZE % GUEST_KNOWN;
    int code;

    if (known == NULL)
        return look_up(memory, physical, l1);
    if (known->page[at] != page) {
        code = look_up(memory, page, &known->l1[at]);
        known->page[at] = code == 0 ? page : UINT64_MAX;
        if (code != 0)
            return code;
    }
    *l1 = l1_at(known->l1[at].value + offset);
    return 0;
}

static size_t piece(uint64_t physical, size_t length)
{
    size_t left = (size_t)(PAGE_SIZE - physical % PAGE_SIZE);

    return left < length ? left : length;
}

int guest_memory_read(const struct guest_memory *memory, uint64_t physical, void *to, size_t length)
{
    const struct l1_memory *l1 = &memory->vcpu->l2->machine->l1_memory;
    uint8_t *at = to;
    l1_address from;

    while (length > 0) {
        size_t part = piece(physical, length);

        if (find(memory, physical, &from) != 0 || l1_read(l1, from, at, part) != 0)
            return -EFAULT;
        physical += part;
        at += part;
        length -= part;
    }
    return 0;
}

int guest_memory_write(struct guest_memory *memory, uint64_t physical, const void *from,
                       size_t length)
{
    const struct l1_memory *l1 = &memory->vcpu->l2->machine->l1_memory;
    const uint8_t *at = from;
    l1_address to;

    memory->writes++;
    forget(memory->known); /* it may have been copied for the write */
    while (length > 0) {
        size_t part = piece(physical, length);

        space_wrote(memory->vcpu->l2->space, l2_at(physical), part);
        if (find(memory, physical, &to) != 0 || l1_write(l1, to, at, part) != 0)
            return -EFAULT;
        physical += part;
        at += part;
        length -= part;
    }
    return 0;
}

int guest_memory_reader(void *context, l2_address address, void *to, size_t length)
{
    const struct guest_memory *memory = context;
    struct guest_known *known = memory->known;
    const size_t at = (address.value / PAGE_SIZE + address.value / sizeof(uint64_t)) % GUEST_KNOWN;
    int code = 0;

    if (known == NULL || length != sizeof(uint64_t))
        return guest_memory_read(memory, address.value, to, length);
    if (known->entry[at] != address.value) {
        code = guest_memory_read(memory, address.value, &known->value[at], length);
        known->entry[at] = code == 0 ? address.value : UINT64_MAX;
    }
    memcpy(to, &known->value[at], sizeof(uint64_t));
    return code;
}

int guest_memory_translate(const struct guest_memory *memory, uint64_t cr3, uint64_t linear,
                           unsigned int access, uint64_t *physical)
{
    const struct guest_reader reader = {guest_memory_reader, (void *)(uintptr_t)memory};
    struct guest_paging paging = memory->paging;
    struct guest_translation translation;
    struct guest_fault fault;

    paging.cr3 = cr3;
    if (guest_walk(&translation, &paging, linear, access, &reader, &fault) != 0)
        return -EFAULT;
    *physical = translation.address.value;
    return 0;
}

int guest_memory_read_linear(const struct guest_memory *memory, uint64_t cr3, uint64_t linear,
                             void *to, size_t length)
{
    const struct guest_reader reader = {guest_memory_reader, (void *)(uintptr_t)memory};
    struct guest_paging paging = memory->paging;
    struct guest_fault fault;

    paging.cr3 = cr3;
    return guest_read(&paging, linear, GUEST_ANY, to, length, &reader, &fault) == (int)length
               ? 0
               : -EFAULT;
}
