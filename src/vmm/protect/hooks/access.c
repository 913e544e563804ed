/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "host/hot.h"
#include "vmm/l2.h"
#include "vmm/protect/hooks/policy_state.h"
#include "vmm/protect/kernel_entry.h"
#include "vmm/vmcs/x86.h"

#define FRAME_WORDS 5U /* RIP, CS, RFLAGS, RSP, SS (SDM 6.14.2) */
#define VECTORS     256U

_Static_assert(offsetof(struct kvm_regs, r15) - offsetof(struct kvm_regs, rax) == 15 * 8 &&
                   offsetof(struct kvm_regs, rsp) / 8 == HOOK_RSP &&
                   offsetof(struct kvm_regs, rdi) / 8 == HOOK_RDI,
               "the order of hook_registers");

HOT static void begin(struct l2_vcpu *vcpu, struct hook_access *access)
{
    /* They are there: the memory has been looked at. */
    const struct kvm_regs *regs = &vcpu->kvm->run->s.regs.regs;
    const struct kvm_sregs *sregs = &vcpu->kvm->run->s.regs.sregs;

    /* All but the registers, which are more than the rest, and are replaced. */
    memset(access, 0, offsetof(struct hook_access, registers));
    access->cpl = sregs->ss.dpl;
    access->cr3 = guest_space(sregs->cr3);
    access->other_mode = !(sregs->efer & EFER_LMA) || !sregs->cs.l;
    access->registers.rip = regs->rip;
    access->registers.rflags = regs->rflags;
    memcpy(access->registers.gpr, &regs->rax, sizeof(access->registers.gpr));
}

HOT void hook_access_of_gate(struct l2_vcpu *vcpu, uint64_t index, struct hook_access *access)
{
    begin(vcpu, access);
    access->kind = HOOK_GATE;
    access->index = index;
}

/* The vector that leads to where the kernel is now; those that programs cause first. */
static bool find_vector(const struct hook_policy *guard, uint64_t rip, unsigned int *vector)
{
    static const uint8_t first[] = {128, 6, 14, 32};
    uint64_t handler;

    for (size_t i = 0; i < sizeof(first); i++)
        if (kernel_entry_handler(&guard->memory, first[i], &handler) && handler == rip) {
            *vector = first[i];
            return true;
        }
    for (*vector = 0; *vector < VECTORS; ++*vector)
        if (kernel_entry_handler(&guard->memory, *vector, &handler) && handler == rip)
            return true;
    return false;
}

/* As the security view shows it. */
static bool is_system_call(const struct hook_policy *guard, uint64_t cr3, uint64_t rip)
{
    const struct hook_page *page = hook_page_at(guard->config->plan, rip);
    uint8_t bytes[2] = {0, 0};

    if (page != NULL && page->secure != NULL && rip % PAGE_SIZE < PAGE_SIZE - 1)
        memcpy(bytes, page->secure + rip % PAGE_SIZE, sizeof(bytes));
    else if (page != NULL ||
             guest_memory_read_linear(&guard->memory, cr3, rip, bytes, sizeof(bytes)) != 0)
        return false;
    return bytes[0] == 0xcd && bytes[1] == 0x80;
}

uint64_t hook_access_frame(const struct hook_policy *guard, const struct hook_access *access)
{
    const struct hook_place *place = &guard->place[guard->memory.vcpu->id - 1];
    uint64_t at = access->registers.gpr[HOOK_RSP];
    uint64_t frame[FRAME_WORDS];

    /* Or behind an error code. */
    for (unsigned int i = 0; i < 2; i++, at += sizeof(uint64_t))
        if (guest_memory_read_linear(&guard->memory, access->cr3, at, frame, sizeof(frame)) == 0 &&
            frame[1] == place->cs.selector && frame[4] == place->ss.selector)
            return at;
    return 0;
}

COLD static void find_interrupt(struct hook_policy *guard, struct hook_access *access)
{
    uint64_t at = hook_access_frame(guard, access);
    uint64_t frame[FRAME_WORDS];
    unsigned int vector;

    if (at == 0 || !find_vector(guard, access->registers.rip, &vector) ||
        guest_memory_read_linear(&guard->memory, access->cr3, at, frame, sizeof(frame)) != 0)
        return;
    access->interrupt.known = true;
    access->interrupt.vector = vector;
    access->interrupt.rip = frame[0];
    access->interrupt.rflags = frame[2];
    access->interrupt.rsp = frame[3];
    access->interrupt.call_instruction = is_system_call(guard, access->cr3, frame[0]);
}

HOT void hook_access_find(struct hook_policy *guard, struct l2_vcpu *vcpu,
                          const struct l2_access *refused, struct hook_access *access)
{
    begin(vcpu, access);
    access->frame = refused->address.value & ~(PAGE_SIZE - 1);
    access->offset = refused->address.value % PAGE_SIZE;
    access->kind = refused->right == MEZZ_EPT_EXECUTE ? HOOK_FETCH
                   : refused->right == MEZZ_EPT_WRITE ? HOOK_WRITE
                                                      : HOOK_READ;
    if (access->kind != HOOK_FETCH)
        return;
    access->linear = refused->linear;
    access->linear_known = true;
    if (access->cpl == 0 && hook_place_of(guard, vcpu)->in.view != 0)
        find_interrupt(guard, access);
}
