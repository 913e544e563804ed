/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VMCS12_H
#define VMM_VMCS12_H

#include "vmm/l2.h"

/* Between the VMCS12, which is L1's, and KVM's run page, which is what the processor really uses.
 */

/* Copies the groups that are not clean once, checks the copies, and only then loads them. 0; a
 * positive mezz_error for what is no VMCS12; -1 with *check (enum mezz_entry_check and its detail
 * in bits 63:32) when the entry fails. Nothing is loaded unless it is 0. */
int vmcs12_load(struct l2_vcpu *vcpu, uint64_t *check);

/* Writes the guest's state and the exit to the VMCS12 and marks what differs as changed. */
void vmcs12_store(struct l2_vcpu *vcpu);
/* After an entry that failed: the exit alone. */
void vmcs12_store_failure(struct l2_vcpu *vcpu);

/* The state areas as the run page has them now. */
void vmcs12_regs_from_run(struct mezz_vmcs12_regs *to, struct kvm_vcpu *vcpu);
void vmcs12_regs_to_run(struct kvm_vcpu *vcpu, const struct mezz_vmcs12_regs *from);
void vmcs12_system_from_run(struct mezz_vmcs12_system *to, struct kvm_vcpu *vcpu);
void vmcs12_system_to_run(struct kvm_vcpu *vcpu, const struct mezz_vmcs12_system *from);
/* As the SDM has it (24.4.2), never both kinds of blocking: kvm_amd cannot tell them apart and
 * reports both, and the one by MOV SS is right whatever RFLAGS.IF is. */
uint32_t vmcs12_interruptibility(const struct kvm_vcpu_events *events);

void vmcs12_events_from_run(struct mezz_vmcs12_events *to, struct l2_vcpu *vcpu);
/* Whether there are records to deliver: of them nothing else is on the hot path. */
static inline bool sync_waits(const struct l2_vcpu *vcpu)
{
    const struct ept12_edits *edits = vcpu->place.edits;

    return vcpu->sync.count > 0 || (edits != NULL && edits->untold > 0);
}

static inline void vmcs12_exit_fill(struct mezz_vmcs12_exit *to, const struct l2_vcpu *vcpu)
{
    const struct l2_exit *exit = &vcpu->exit;

    *to = (struct mezz_vmcs12_exit){
        .reason = exit->reason,
        .flags = exit->flags,
        .qualification = exit->qualification,
        .guest_physical_address = exit->gpa,
        .value = exit->value,
        .size = exit->size,
        .msr = exit->msr,
        .interruption_info = exit->interruption_info,
        .count = vcpu->exit_count,
    };
}
/* The event that was in delivery, which the former leaves out. */
void vmcs12_exit_fill_vectoring(struct mezz_vmcs12_exit *to, struct l2_vcpu *vcpu);

/* State that costs ioctls to read: for exits that save it, and for VMREAD. */
void vmcs12_save_debug(struct l2_vcpu *vcpu, struct mezz_vmcs12_debug *to);

/* Injects an event at the next entry, in place of what is pending. info: valid and checked. */
void vmcs12_inject(struct kvm_vcpu *vcpu, uint32_t info, uint32_t error_code);

#endif
