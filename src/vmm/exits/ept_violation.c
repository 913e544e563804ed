/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/exits/ept_violation.h"

#include <errno.h>
#include <string.h>

#include "host/hot.h"
#include "vmm/exits/drain.h"
#include "vmm/exits/gate.h"
#include "vmm/exits/guest_walk.h"
#include "vmm/exits/operands.h"
#include "vmm/exits/paging_events.h"
#include "vmm/l2_policy.h"

#define VECTOR_INVALID 6U

static uint32_t right_of(const struct l2_exit *exit)
{
    if (exit->qualification & MEZZ_EPT_VIOLATION_WRITE)
        return MEZZ_EPT_WRITE;
    return exit->qualification & MEZZ_EPT_VIOLATION_FETCH ? MEZZ_EPT_EXECUTE : MEZZ_EPT_READ;
}

/* What the overlay leaves of EPT12's rights. *own: the page is the root's, EPT12 has no say. */
HOT static uint32_t overlaid_rights(const struct l2_vcpu *vcpu, bool *own)
{
    struct space_overlay *overlay = vcpu->place.overlay;
    const struct view_patch *patch;

    *own = false;
    if (overlay == NULL)
        return MEZZ_EPT_RWX;
    patch = space_overlay_find(overlay, l2_at(vcpu->exit.gpa));
    if (patch == NULL)
        return space_overlay_others(overlay);
    *own = patch->backing != VIEW_PATCH_SAME;
    return patch->rights;
}

/* EPT12 allows it, or does now: an entry that was not present may become so at any time, and a page
 * may wait for its first write. */
static bool ept12_allows(struct l2_vcpu *vcpu, uint32_t right)
{
    struct space_view *view = vcpu->place.view;
    const l2_address address = l2_at(vcpu->exit.gpa);
    struct ept12_translation now;

    if (space_view_lookup_ept(view, address, &now) != 0)
        return false;
    if (right == MEZZ_EPT_WRITE && now.rights != 0 && !(now.rights & right) &&
        paging_open_for_write(vcpu, &now) && space_view_lookup_ept(view, address, &now) != 0)
        return false;
    return now.rights & right;
}

HOT static bool ept12_has(const struct l2_vcpu *vcpu)
{
    struct ept12_translation now;

    /* It had when the exit was decoded. */
    if (vcpu->exit.qualification & (uint64_t)MEZZ_EPT_RWX << 3)
        return true;
    return space_view_lookup_ept(vcpu->place.view, l2_at(vcpu->exit.gpa), &now) == 0 &&
           now.rights != 0;
}

/* KVM has read a part of the kernel's operand, and will not take the rest: it would ask again. */
COLD static bool would_ask_again(struct l2_vcpu *vcpu)
{
    struct operand operands[OPERANDS_LIMIT];

    return l2_sregs(vcpu)->ss.dpl != 3 && operands_of_endless(vcpu, operands) != 0;
}

HOT static enum root_verdict ask_policies(struct l2_vcpu *vcpu, uint32_t right)
{
    enum l2_verdict verdict;

    if (right == MEZZ_EPT_READ && !vcpu->exit.unserved && vcpu->l2->policy != NULL)
        vcpu->exit.unserved = would_ask_again(vcpu);
    verdict = l2_policies_violation(vcpu, right);
    if (verdict != L2_HANDLED)
        return ROOT_LEFT;
    /* What a policy left to be read is nothing. */
    if (vcpu->exit.flags & MEZZ_EXIT_PENDING && !vcpu->exit.done)
        l2_exit_answer(&vcpu->exit, 0, false);
    vcpu->exit.done = true;
    return ROOT_HANDLED;
}

/* While another vCPU runs in the view it waits until the next entry. */
static bool read_again(struct space_view *view)
{
    int code = space_view_rebuild(view, NULL);

    if (code == -EBUSY)
        space_view_set_stale(view);
    return code == 0 || code == -EBUSY;
}

/* Does a data access on memory, and sees that the view has what it is to have there. */
static enum root_verdict serve(struct l2_vcpu *vcpu, uint32_t right)
{
    struct space_view *view = vcpu->place.view;
    const struct l2_exit *exit = &vcpu->exit;
    const l2_address address = l2_at(exit->gpa);
    struct ept12_translation now;

    if (space_view_lookup(view, address, &now) != 0)
        return ROOT_LEFT;
    /* It may run into the next page, which EPT12 may refuse. */
    if (exit->size != 0) {
        uint64_t data = exit->value;

        if (space_view_access(view, address, right == MEZZ_EPT_WRITE, &data, exit->size) != 0)
            return ROOT_LEFT;
        vcpu->exit.done = true;
        l2_exit_answer(exit, data, false);
    }
    return space_view_has(view, address, now.rights) || read_again(view) ? ROOT_HANDLED : ROOT_LEFT;
}

/* KVM has no slot for what the view has there: RW- and R--. */
static bool serve_from_view(struct l2_vcpu *vcpu, uint32_t right)
{
    struct l2_exit *exit = &vcpu->exit;
    uint64_t data = exit->value;

    if (vcpu->extent == NULL || !(vcpu->extent->rights & right))
        return false;
    if (space_view_access_in(vcpu->place.view, vcpu->extent, l2_at(exit->gpa),
                             right == MEZZ_EPT_WRITE, &data, exit->size) != 0)
        return false;
    exit->done = true;
    if (exit->answer != NULL)
        l2_exit_answer(exit, data, false);
    return true;
}

/* Apart: it needs registers and a stack that the frequent case does without. */
HOT __attribute__((noinline)) static enum root_verdict judge(struct l2_vcpu *vcpu, uint32_t right)
{
    bool own;

    if (gate_is_meant(vcpu))
        return gate_rule(vcpu);
    if (!(overlaid_rights(vcpu, &own) & right))
        return own || ept12_has(vcpu) ? ask_policies(vcpu, right) : ROOT_LEFT;
    return own || ept12_allows(vcpu, right) ? serve(vcpu, right) : ROOT_LEFT;
}

/* One page of what the instruction accesses. */
typedef bool operand_page(struct l2_vcpu *vcpu, uint64_t gpa, const struct operand *operand,
                          bool *served);

static uint32_t wanted_by(const struct operand *operand)
{
    return (operand->read ? MEZZ_EPT_READ : 0) | (operand->written ? MEZZ_EPT_WRITE : 0);
}

/* Asks the policies about it. True: they have settled it. *served: the overlay allows it, but
 * access by access, for it has no slot there. */
static bool page_is_settled(struct l2_vcpu *vcpu, uint64_t gpa, const struct operand *operand,
                            bool *served)
{
    const uint32_t wanted = wanted_by(operand);
    uint32_t missing;
    uint32_t rights;
    bool own;

    vcpu->exit = (struct l2_exit){
        .reason = MEZZ_EXIT_EPT_VIOLATION, .gpa = gpa, .size = 1, .unserved = true};
    rights = overlaid_rights(vcpu, &own);
    missing = wanted & ~rights;
    *served = *served || (missing == 0 && !(rights & MEZZ_EPT_EXECUTE));
    if (missing == 0 || own || !ept12_has(vcpu))
        return false;
    missing = missing & MEZZ_EPT_READ ? MEZZ_EPT_READ : MEZZ_EPT_WRITE;
    vcpu->exit.qualification =
        missing == MEZZ_EPT_READ ? MEZZ_EPT_VIOLATION_READ : MEZZ_EPT_VIOLATION_WRITE;
    return ask_policies(vcpu, missing) == ROOT_HANDLED ||
           vcpu->exit.reason != MEZZ_EXIT_EPT_VIOLATION;
}

/* There is no slot with what is wanted. */
static bool page_is_closed(struct l2_vcpu *vcpu, uint64_t gpa, const struct operand *operand,
                           bool *served)
{
    const uint32_t wanted = wanted_by(operand) | MEZZ_EPT_EXECUTE;
    bool own;

    (void)served;
    vcpu->exit.gpa = gpa;
    return wanted & ~overlaid_rights(vcpu, &own);
}

/* True: it is of one of the operand's pages. */
static bool is_of_any(struct l2_vcpu *vcpu, const struct operand *operand, operand_page *is,
                      bool *served)
{
    const struct kvm_regs *regs = l2_regs(vcpu);
    const struct kvm_sregs *sregs = l2_sregs(vcpu);
    const struct guest_paging paging = {sregs->cr0,  sregs->cr3,   sregs->cr4,
                                        sregs->efer, regs->rflags, 0};
    const uint64_t last = operand->linear + operand->size - 1;
    uint64_t at = operand->linear;

    if (last < at)
        return false;
    for (;;) {
        struct guest_view memory = l2_view_memory(vcpu);
        const struct guest_reader reader = {guest_view_read, &memory};
        struct guest_translation to;
        struct guest_fault fault;

        if (guest_walk(&to, &paging, at, GUEST_ANY, &reader, &fault) == 0 &&
            is(vcpu, to.address.value, operand, served))
            return true;
        if (at / PAGE_SIZE == last / PAGE_SIZE)
            return false;
        at = (at | (PAGE_SIZE - 1)) + 1;
    }
}

static bool is_prefix(uint8_t byte, bool long_mode)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3};

    return memchr(prefixes, byte, sizeof(prefixes)) != NULL || (long_mode && byte >> 4 == 4);
}

static bool is_rsm(struct l2_vcpu *vcpu)
{
    uint8_t code[CODE_LENGTH];
    const size_t length = l2_read_code(vcpu, code);
    const bool long_mode = l2_runs_64_bit(vcpu);
    size_t at = 0;

    while (at < length && is_prefix(code[at], long_mode))
        at++;
    return at + 1 < length && code[at] == 0x0f && code[at + 1] == 0xaa;
}

static enum root_verdict raise_invalid(struct l2_vcpu *vcpu)
{
    if (l2_raise(vcpu, VECTOR_INVALID, -1) != 0)
        return ROOT_LEFT;
    vcpu->exit.done = true;
    return ROOT_HANDLED;
}

COLD enum root_verdict emulation_failure_rule(struct l2_vcpu *vcpu)
{
    const struct l2_exit exit = vcpu->exit;
    struct operand operands[OPERANDS_LIMIT];
    bool served = false;
    size_t count;

    if (exit.qualification == 0 && view_vcpu_is_aside(&vcpu->place) && is_rsm(vcpu))
        return raise_invalid(vcpu);
    if (vcpu->l2->policy == NULL || vcpu->place.overlay == NULL || exit.qualification != 0)
        return ROOT_LEFT;
    count = operands_of(vcpu, operands);
    for (size_t i = 0; i < count; i++)
        if (is_of_any(vcpu, &operands[i], page_is_settled, &served))
            return vcpu->exit.done ? ROOT_HANDLED : ROOT_LEFT;
    vcpu->exit = exit;
    if (served)
        return raise_invalid(vcpu);
    l2_policies_end(vcpu);
    return ROOT_LEFT;
}

/* An event is on its way into the vCPU: its handler runs before the instruction does. */
static bool takes_event(struct l2_vcpu *vcpu)
{
    const struct kvm_vcpu_events *events = &vcpu->kvm->run->s.regs.events;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_EVENTS);
    return events->exception.injected || events->exception.pending || events->nmi.injected ||
           events->interrupt.injected;
}

COLD bool emulation_stands_still(struct l2_vcpu *vcpu)
{
    const struct l2_exit exit = vcpu->exit;
    struct operand operands[OPERANDS_LIMIT];
    bool still = false;
    bool served;
    size_t count;

    if (vcpu->l2->policy == NULL || vcpu->place.overlay == NULL || vcpu->halted)
        return false;
    l2_regs(vcpu);
    l2_sregs(vcpu);
    count = l2_has_registers(vcpu) ? operands_of_endless(vcpu, operands) : 0;
    for (size_t i = 0; i < count && !still; i++)
        still = is_of_any(vcpu, &operands[i], page_is_closed, &served);
    still = still && !takes_event(vcpu);
    vcpu->exit = still ? (struct l2_exit){.reason = MEZZ_EXIT_EMULATION_FAILURE} : exit;
    return still;
}

HOT enum root_verdict ept_violation_rule(struct l2_vcpu *vcpu)
{
    const uint32_t right = right_of(&vcpu->exit);

    return serve_from_view(vcpu, right) ? ROOT_HANDLED : judge(vcpu, right);
}
