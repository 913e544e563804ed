/* SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <string.h>

#include "mezz/errors.h"
#include "vmm/exits/drain.h"
#include "vmm/exits/msrs.h"
#include "vmm/l2_policy.h"
#include "vmm/machine_state.h"
#include "vmm/vmcs/entry_checks.h"
#include "vmm/vmcs/vmcs12.h"
#include "vmm/vmcs/x86.h"

/* A private copy of what this entry loads; groups that are clean hold what the processor has. */
struct candidate {
    uint64_t dirty; /* groups to load */
    struct mezz_vmcs12_regs regs;
    struct mezz_vmcs12_system system;
    struct mezz_vmcs12_events events;
    struct mezz_vmcs12_msrs msrs;
    struct mezz_vmcs12_debug debug;
    struct mezz_vmcs12_controls controls;
    struct mezz_vmcs12_ept ept;
};

/* Groups whose load replaces registers that a pending instruction would overwrite, or the memory
 * that it accesses. */
#define REGISTER_GROUPS                                                    \
    (MEZZ_GROUP_BIT(MEZZ_GROUP_REGS) | MEZZ_GROUP_BIT(MEZZ_GROUP_SYSTEM) | \
     MEZZ_GROUP_BIT(MEZZ_GROUP_MSRS) | MEZZ_GROUP_BIT(MEZZ_GROUP_DEBUG) |  \
     MEZZ_GROUP_BIT(MEZZ_GROUP_EVENTS) | MEZZ_GROUP_BIT(MEZZ_GROUP_EPT))

/* Groups that are checked against each other. */
#define CHECKED_TOGETHER                                                   \
    (MEZZ_GROUP_BIT(MEZZ_GROUP_REGS) | MEZZ_GROUP_BIT(MEZZ_GROUP_SYSTEM) | \
     MEZZ_GROUP_BIT(MEZZ_GROUP_EVENTS))

static bool is_dirty(const struct candidate *candidate, int group)
{
    return candidate->dirty & MEZZ_GROUP_BIT(group);
}

static void copy_groups(struct candidate *to, struct l2_vcpu *vcpu)
{
    const struct mezz_vmcs12 *from = vcpu->vmcs12;

    if (is_dirty(to, MEZZ_GROUP_REGS))
        memcpy(&to->regs, &from->regs, sizeof(to->regs));
    else if (to->dirty & CHECKED_TOGETHER)
        vmcs12_regs_from_run(&to->regs, vcpu->kvm);
    if (is_dirty(to, MEZZ_GROUP_SYSTEM))
        memcpy(&to->system, &from->system, sizeof(to->system));
    else if (to->dirty & CHECKED_TOGETHER)
        vmcs12_system_from_run(&to->system, vcpu->kvm);
    if (is_dirty(to, MEZZ_GROUP_EVENTS))
        memcpy(&to->events, &from->events, sizeof(to->events));
    if (is_dirty(to, MEZZ_GROUP_MSRS))
        memcpy(&to->msrs, &from->msrs, sizeof(to->msrs));
    if (is_dirty(to, MEZZ_GROUP_DEBUG))
        memcpy(&to->debug, &from->debug, sizeof(to->debug));
    if (is_dirty(to, MEZZ_GROUP_CONTROLS))
        memcpy(&to->controls, &from->controls, sizeof(to->controls));
    if (is_dirty(to, MEZZ_GROUP_EPT))
        memcpy(&to->ept, &from->ept, sizeof(to->ept));
    else
        to->ept = vcpu->ept;
}

static enum mezz_entry_check check_groups(const struct candidate *c, const struct l1_memory *l1)
{
    enum mezz_entry_check check = MEZZ_CHECK_NONE;

    if (is_dirty(c, MEZZ_GROUP_CONTROLS))
        check = entry_check_controls(&c->controls, l1);
    if (check == MEZZ_CHECK_NONE &&
        (is_dirty(c, MEZZ_GROUP_REGS) || is_dirty(c, MEZZ_GROUP_SYSTEM)))
        check = entry_check_system(&c->system, &c->regs);
    if (check == MEZZ_CHECK_NONE && is_dirty(c, MEZZ_GROUP_REGS))
        check = entry_check_regs(&c->regs, &c->system);
    if (check == MEZZ_CHECK_NONE && is_dirty(c, MEZZ_GROUP_EVENTS))
        check = entry_check_events(&c->events, &c->regs, &c->system);
    if (check == MEZZ_CHECK_NONE && is_dirty(c, MEZZ_GROUP_MSRS))
        check = entry_check_msrs(&c->msrs);
    if (check == MEZZ_CHECK_NONE && is_dirty(c, MEZZ_GROUP_DEBUG))
        check = entry_check_debug(&c->debug);
    return check;
}

static enum mezz_entry_check load_debug(struct l2_vcpu *vcpu, const struct mezz_vmcs12_debug *debug)
{
    struct kvm_debugregs to = {.dr6 = debug->dr6, .dr7 = debug->dr7};

    memcpy(to.db, debug->dr, sizeof(to.db));
    return kvm_vcpu_ioctl(vcpu->kvm, KVM_SET_DEBUGREGS, &to) < 0 ? MEZZ_CHECK_DEBUG
                                                                 : MEZZ_CHECK_NONE;
}

static void load_events(struct l2_vcpu *vcpu, const struct mezz_vmcs12_events *events)
{
    struct kvm_vcpu_events *to = &vcpu->kvm->run->s.regs.events;
    uint32_t state = events->interruptibility_state;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_EVENTS);
    to->flags |= KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_NMI_PENDING;
    to->interrupt.shadow = (state & INTERRUPTIBILITY_STI ? KVM_X86_SHADOW_INT_STI : 0) |
                           (state & INTERRUPTIBILITY_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0);
    to->nmi.masked = !!(state & INTERRUPTIBILITY_NMI);
    kvm_vcpu_replaced(vcpu->kvm, KVM_SYNC_X86_EVENTS);
    vcpu->halted = events->activity_state == 1;
    if (events->entry_interruption_info & MEZZ_EVENT_VALID) {
        l2_inject_event(vcpu, events->entry_interruption_info, events->entry_exception_error_code);
        vcpu->vmcs12->events.entry_interruption_info =
            events->entry_interruption_info & ~MEZZ_EVENT_VALID;
    }
}

static int load_controls(struct l2_vcpu *vcpu, const struct mezz_vmcs12_controls *controls)
{
    const struct l1_memory *l1 = &vcpu->l2->machine->l1_memory;

    vcpu->controls = *controls;
    if (controls->cpu_based & MEZZ_CPU_USE_IO_BITMAPS) {
        l1_read(l1, l1_at(controls->io_bitmap_a), vcpu->io_bitmap, PAGE_SIZE);
        l1_read(l1, l1_at(controls->io_bitmap_b), vcpu->io_bitmap + PAGE_SIZE, PAGE_SIZE);
    }
    if (controls->cpu_based & MEZZ_CPU_USE_MSR_BITMAPS)
        l1_read(l1, l1_at(controls->msr_bitmap), vcpu->msr_bitmap, PAGE_SIZE);
    l2_set_window(vcpu);
    return msrs_update_filter(vcpu->l2);
}

/* 0 goes with any EPTP, in the list or not; another one, and MEZZ_VIEW_NONE, with its own. */
static bool index_is_right(const struct space *space, const struct mezz_vmcs12_ept *ept)
{
    return ept->eptp_index == 0 ||
           space_list_find(space, ept->eptp, ept->eptp_index) == ept->eptp_index;
}

static uint64_t load_view(struct l2_vcpu *vcpu, const struct mezz_vmcs12_ept *ept, bool written)
{
    int error;

    if (written && (ept->reserved != 0 || !index_is_right(vcpu->l2->space, ept)))
        return MEZZ_CHECK_EPT | (uint64_t)MEZZ_E_VIEW << 32;
    error = l2_view_use(vcpu, ept->eptp);
    if (error != 0)
        return MEZZ_CHECK_EPT | (uint64_t)(error < 0 ? MEZZ_E_HOST : error) << 32;
    vcpu->ept = *ept;
    if (written)
        vcpu->ept.eptp_index = space_list_find(vcpu->l2->space, ept->eptp, ept->eptp_index);
    return MEZZ_CHECK_NONE;
}

/* A base that L1 writes in L2's place is as one that L2 writes: it may be KERNEL_GS_BASE soon. */
static void load_system(struct l2_vcpu *vcpu, const struct mezz_vmcs12_system *system)
{
    const struct kvm_sregs *before = &vcpu->kvm->run->s.regs.sregs;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_SREGS);
    if (before->gs.base != system->segment[MEZZ_GS].base)
        view_vcpu_msrs_changed(&vcpu->place);
    vmcs12_system_to_run(vcpu->kvm, system);
}

/* The loads that may still be refused by the host come first: MSRs, debug registers, memory. */
static uint64_t commit(struct l2_vcpu *vcpu, const struct candidate *c)
{
    uint64_t check = load_view(vcpu, &c->ept, is_dirty(c, MEZZ_GROUP_EPT));

    if (check == MEZZ_CHECK_NONE && !vcpu->started && l2_policies_start(vcpu) != 0)
        check = MEZZ_CHECK_HOST;

    if (check == MEZZ_CHECK_NONE && is_dirty(c, MEZZ_GROUP_MSRS))
        check = msrs_load(vcpu, &c->msrs) == 0 ? MEZZ_CHECK_NONE : MEZZ_CHECK_MSR;
    if (check == MEZZ_CHECK_NONE && is_dirty(c, MEZZ_GROUP_DEBUG))
        check = load_debug(vcpu, &c->debug);
    if (check == MEZZ_CHECK_NONE && is_dirty(c, MEZZ_GROUP_CONTROLS) &&
        load_controls(vcpu, &c->controls) != 0)
        check = MEZZ_CHECK_HOST;
    if (check != MEZZ_CHECK_NONE)
        return check;
    if (is_dirty(c, MEZZ_GROUP_REGS))
        vmcs12_regs_to_run(vcpu->kvm, &c->regs);
    if (is_dirty(c, MEZZ_GROUP_SYSTEM))
        load_system(vcpu, &c->system);
    if (is_dirty(c, MEZZ_GROUP_EVENTS))
        load_events(vcpu, &c->events);
    if (is_dirty(c, MEZZ_GROUP_REGS))
        vcpu->known.guest_rip = c->regs.guest_rip;
    if (is_dirty(c, MEZZ_GROUP_EVENTS)) {
        vcpu->known.interruptibility_state = c->events.interruptibility_state;
        vcpu->known.activity_state = c->events.activity_state;
    }
    for (int group = 0; group < MEZZ_GROUP_EXIT; group++)
        vcpu->groups_loaded[group] += is_dirty(c, group);
    return MEZZ_CHECK_NONE;
}

int vmcs12_load(struct l2_vcpu *vcpu, uint64_t *check)
{
    struct mezz_vmcs12 *from = vcpu->vmcs12;
    struct candidate candidate;

    if (*(volatile uint32_t *)&from->revision != MEZZ_VMCS12_REVISION)
        return MEZZ_E_VMCS;
    candidate.dirty = ~*(volatile uint64_t *)&from->clean & MEZZ_GROUPS_LOADED;
    atomic_signal_fence(memory_order_seq_cst);
    if (candidate.dirty & REGISTER_GROUPS && l2_drain(vcpu) != 0)
        return MEZZ_E_HOST;
    copy_groups(&candidate, vcpu);
    *check = check_groups(&candidate, &vcpu->l2->machine->l1_memory);
    if (*check == MEZZ_CHECK_NONE)
        *check = commit(vcpu, &candidate);
    if (*check != MEZZ_CHECK_NONE)
        return -1;
    from->clean = MEZZ_GROUPS_LOADED;
    return 0;
}

void vmcs12_save_debug(struct l2_vcpu *vcpu, struct mezz_vmcs12_debug *to)
{
    struct kvm_debugregs from = {0};

    kvm_vcpu_ioctl(vcpu->kvm, KVM_GET_DEBUGREGS, &from);
    memcpy(to->dr, from.db, sizeof(to->dr));
    to->dr6 = from.dr6;
    to->dr7 = from.dr7;
}
