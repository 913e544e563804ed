/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_EXIT_RULES_H
#define VMM_EXIT_RULES_H

#include "vmm/l2.h"

/* The root's own part of an L2 exit. */
enum root_verdict {
    ROOT_HANDLED, /* nothing is left to do: L2 can go on */
    ROOT_LEFT     /* it is for L1: a handler decides, or it is reflected */
};

/* Applies the rule of vcpu->exit. A reason without a rule is left to L1. */
enum root_verdict exit_rule_apply(struct l2_vcpu *vcpu);

#endif
