/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_MSRS_H
#define VMM_MSRS_H

#include "vmm/exits/exit_rules.h"
#include "vmm/l2.h"

/*
 * The MSRs of an L2. KVM handles those that it knows by itself; an L1 that intercepts some (MSR
 * bitmap) or wants its shadows kept true (MEZZ_VMEXIT_SAVE_MSRS) gets them by KVM's MSR filter
 * (KVM_CAP_X86_MSR_FILTER), which is per VM: it holds what any vCPU of the L2 asked for, and the
 * root carries out what another one did not.
 */

/* Sets the filter to what the L2's vCPUs ask for now; nothing when that is what it is. 0, negative
 * errno. */
int msrs_update_filter(struct l2 *l2);

/* What the L2's filter is, for a VM that was made for it now. */
int msrs_set_filter(const struct l2 *l2, const struct kvm_vm *vm);

/* The root's part of RDMSR and WRMSR. */
enum root_verdict msrs_rule(struct l2_vcpu *vcpu);

/* Loads the MSR group. 0, or -1 when the host refuses a value. */
int msrs_load(struct l2_vcpu *vcpu, const struct mezz_vmcs12_msrs *msrs);
/* Reads the MSR group: costs an ioctl each. */
void msrs_save(struct l2_vcpu *vcpu, struct mezz_vmcs12_msrs *to);

#endif
