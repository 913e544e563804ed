/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_EPT_VIOLATION_H
#define VMM_EPT_VIOLATION_H

#include "vmm/exits/exit_rules.h"

/* The root's part of an access that the view has no slot for: the gate, what EPT12 allows by now or
 * KVM has no slot for, what an overlay refuses. */
enum root_verdict ept_violation_rule(struct l2_vcpu *vcpu);

#endif
