/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_GATE_H
#define VMM_GATE_H

#include "vmm/exits/exit_rules.h"

/* The page of include/mezz/gate.h. vcpu->exit is an EPT violation. */
bool gate_is_meant(const struct l2_vcpu *vcpu);

enum root_verdict gate_rule(struct l2_vcpu *vcpu);

#endif
