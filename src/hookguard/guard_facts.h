/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_GUARD_FACTS_H
#define HOOKGUARD_GUARD_FACTS_H

#include "hookguard/guard_state.h"

/* Between guard_facts.c and guard.c. */

/* What is found out of one access. */
struct guard_facts {
    const struct guard_access *access;
    struct guard_binding *from;
    struct guard_call *from_call;
    const struct portion *portion;  /* whose page is accessed */
    size_t page;                    /* of its own ones */
    struct guard_binding *owner;    /* a view that has the frame */
    struct guard_binding *own_view; /* of the portion in this address space */
    struct guard_call *resumed;
    const char *rule;
    struct pattern_cache fresh; /* of a portion that has no view yet */
    struct decision_request request;
};

void guard_find_facts(struct guard *guard, const struct guard_vcpu *vcpu,
                      const struct guard_access *access, struct guard_facts *facts);

/* Whose view the vCPU is in; NULL: the default view. */
struct guard_binding *guard_current(struct guard *guard, const struct guard_vcpu *vcpu);
/* Its number; 0 of NULL. */
uint32_t guard_view_of(const struct guard *guard, const struct guard_binding *binding);
/* A call that is unused, or else the one that waits for longest; NULL: all are at work. */
struct guard_call *guard_free_call(struct guard_binding *binding);

#endif
