/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_EPT_VIOLATION_H
#define VMM_EPT_VIOLATION_H

#include "vmm/exits/exit_rules.h"

/* The root's part of an access that the view has no slot for: the gate, what EPT12 allows by now or
 * KVM has no slot for, what an overlay refuses. */
enum root_verdict ept_violation_rule(struct l2_vcpu *vcpu);

/* An instruction that KVM cannot run for L2. If it accesses what an overlay has taken, that is a
 * matter of the policies, as an access by any other instruction is. */
enum root_verdict emulation_failure_rule(struct l2_vcpu *vcpu);

/* Of a KVM_RUN that something interrupted: KVM would try the instruction for ever, for it stores
 * where an overlay has left no slot, or loads from there, and takes that for no reason to exit.
 * Then vcpu->exit is what it is when KVM cannot run one. */
bool emulation_stands_still(struct l2_vcpu *vcpu);

#endif
