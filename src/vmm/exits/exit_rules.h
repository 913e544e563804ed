/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_EXIT_RULES_H
#define VMM_EXIT_RULES_H

#include "vmm/l2.h"

/* The root's own part of an L2 exit. */
enum root_verdict {
    ROOT_HANDLED, /* nothing is left to do: L2 can go on */
    ROOT_LEFT     /* it is for L1: a handler decides, or it is reflected */
};

/* By reason_index(); NULL: a reason that is left to L1. */
typedef enum root_verdict exit_rule(struct l2_vcpu *vcpu);
extern exit_rule *const exit_rules[REASON_INDEX_COUNT];

/* Applies the rule of vcpu->exit, whose reason_index() is `index`. */
static inline enum root_verdict exit_rule_apply(struct l2_vcpu *vcpu, unsigned int index)
{
    return exit_rules[index] == NULL ? ROOT_LEFT : exit_rules[index](vcpu);
}

#endif
