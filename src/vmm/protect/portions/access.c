/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "vmm/machine_state.h"
#include "vmm/protect/portions/call_site.h"
#include "vmm/protect/portions/housing.h"
#include "vmm/protect/portions/state.h"

#define NO_FRAME (UINT64_MAX & ~(PAGE_SIZE - 1))

static void take_registers(struct portion_guard_registers *to, const struct kvm_regs *from)
{
    memcpy(to->gpr, &from->rax, sizeof(to->gpr));
    to->rflags = from->rflags;
}

_Static_assert(offsetof(struct kvm_regs, r15) - offsetof(struct kvm_regs, rax) == 15 * 8,
               "16 registers in a row");

/* Only then nobody else can have written what the processor pushed. */
static bool is_alone(const struct l2 *l2)
{
    unsigned int count = 0;

    for (unsigned int i = 0; i < MEZZ_MAX_L2_VCPUS; i++)
        count += l2->machine->vcpu[i] != NULL && l2->machine->vcpu[i]->l2 == l2;
    return count == 1;
}

/* Bytes that the caller pushed, if it was one. True: they are known. */
static bool find_stack(const struct portions *portions, uint64_t cr3, uint64_t rsp, uint64_t *stack,
                       bool *after_call)
{
    if (guest_memory_read_linear(&portions->memory, cr3, rsp, stack, sizeof(*stack)) != 0)
        return false;
    *after_call = call_site_is_before(&portions->memory, cr3, *stack);
    return true;
}

/* The kernel comes right after an instruction of the portion that may have led out of it. */
static void find_stack_of_frame(const struct portions *portions,
                                struct portion_guard_access *access)
{
    access->frame_of_interrupt.stack_known =
        find_stack(portions, access->cr3, access->frame_of_interrupt.rsp,
                   &access->frame_of_interrupt.stack, &access->frame_of_interrupt.after_call);
}

static void keep_registers(struct portion_access_facts *facts, const struct kvm_regs *regs,
                           uint64_t rflags)
{
    take_registers(&facts->keep, regs);
    facts->keep.rflags = rflags;
    facts->access.keep = &facts->keep;
}

/* Rings 1 and 2 are the kernel's: to page tables they are, and no program needs them. */
static unsigned int ring_of(unsigned int cpl)
{
    return cpl == 3 ? 3 : 0;
}

/* The kernel's first instruction after a portion's last. */
static void find_kernel_entry(const struct portions *portions, const struct kvm_regs *regs,
                              struct portion_access_facts *facts)
{
    struct portion_guard_access *access = &facts->access;
    struct kernel_entry *entry = &facts->entry;

    kernel_entry_find(entry, &portions->memory);
    access->frame_of_interrupt.trusted = is_alone(portions->l2);
    /* Nor is the IDT, by which another vCPU could have a fault be a call. */
    if (!access->frame_of_interrupt.trusted) {
        entry->system_call = false;
        entry->call_handler = 0;
    }
    access->frame_of_interrupt.known = entry->known;
    access->frame_of_interrupt.cpl = ring_of(entry->cs & 3U);
    access->frame_of_interrupt.rip = entry->rip;
    access->frame_of_interrupt.next_rip = entry->next_rip;
    access->frame_of_interrupt.rsp = entry->rsp;
    find_stack_of_frame(portions, access);
    access->system_call = entry->system_call;
    keep_registers(facts, regs, entry->known ? entry->rflags : regs->rflags);
}

static void begin(struct l2_vcpu *vcpu, struct portion_access_facts *facts)
{
    const struct kvm_regs *regs = l2_regs(vcpu);
    const struct kvm_sregs *sregs = l2_sregs(vcpu);

    *facts = (struct portion_access_facts){
        .access = {.cpl = ring_of(sregs->ss.dpl),
                   .cr3 = guest_space(sregs->cr3),
                   .rip = regs->rip,
                   .rsp = regs->rsp,
                   .rflags = regs->rflags,
                   .other_mode = !l2_runs_64_bit(vcpu)},
    };
}

/* KVM tells the physical address only. */
static void find_linear(struct portions *portions, struct portion_guard_access *access,
                        uint64_t gpa)
{
    struct space_mappings mappings;

    if (access->cpl != 3 ||
        address_space_find(&portions->memory, access->cr3, access->frame, 0, &mappings) != 0)
        return;
    access->linear_known = mappings.count == 1;
    if (mappings.count > 0)
        access->linear = mappings.first + gpa % PAGE_SIZE;
}

void portion_access_find(struct portions *portions, struct l2_vcpu *vcpu,
                         const struct l2_access *refused, struct portion_access_facts *facts)
{
    struct portion_guard_access *access = &facts->access;

    begin(vcpu, facts);
    access->frame = refused->address.value & ~(PAGE_SIZE - 1);
    access->physical = refused->address.value;
    if (refused->right != MEZZ_EPT_EXECUTE) {
        access->access = refused->right == MEZZ_EPT_WRITE ? ACCESS_WRITE : ACCESS_READ;
        find_linear(portions, access, refused->address.value);
        return;
    }
    access->access = ACCESS_FETCH;
    access->linear = refused->linear;
    access->linear_known = true;
    if (access->cpl == 3)
        access->stack_known =
            find_stack(portions, access->cr3, access->rsp, &access->stack, &access->after_call);
    else if (portion_place_of(portions, vcpu)->in.view != 0)
        find_kernel_entry(portions, l2_regs(vcpu), facts);
}

/* The processor will push what is now. */
void portion_access_of_event(struct portions *portions, struct l2_vcpu *vcpu, unsigned int vector,
                             struct portion_access_facts *facts)
{
    const struct kvm_regs *regs = l2_regs(vcpu);
    struct portion_guard_access *access = &facts->access;
    uint64_t physical;

    begin(vcpu, facts);
    access->access = ACCESS_FETCH;
    access->frame_of_interrupt.known = true;
    access->frame_of_interrupt.trusted = true;
    access->frame_of_interrupt.cpl = access->cpl;
    access->frame_of_interrupt.rip = regs->rip;
    access->frame_of_interrupt.rsp = regs->rsp;
    find_stack_of_frame(portions, access);
    access->cpl = 0;
    access->rip = 0;
    access->frame = NO_FRAME;
    if (kernel_entry_handler(&portions->memory, vector, &access->rip) &&
        guest_memory_translate(&portions->memory, access->cr3, access->rip, GUEST_ANY, &physical) ==
            0)
        access->frame = physical & ~(PAGE_SIZE - 1);
    access->linear = access->rip;
    access->linear_known = true;
    keep_registers(facts, regs, regs->rflags);
}

static bool is_closed(const void *plan, uint64_t frame)
{
    return view_plan_rights(plan, frame) != MEZZ_EPT_RWX;
}

/* In a portion's view its kernel does not run. */
bool portion_access_find_table(struct portions *portions, struct l2_vcpu *vcpu,
                               struct portion_access_facts *facts)
{
    uint64_t frame;

    if (portion_place_of(portions, vcpu)->shown != 0 ||
        !housing_find(&portions->memory, is_closed, &portions->view[0].plan, &frame))
        return false;
    begin(vcpu, facts);
    facts->access.access = ACCESS_READ;
    facts->access.frame = frame;
    facts->access.physical = frame;
    return true;
}
