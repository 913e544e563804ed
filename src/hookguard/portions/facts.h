/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_PORTIONS_FACTS_H
#define HOOKGUARD_PORTIONS_FACTS_H

#include "hookguard/portions/state.h"

/* Between facts.c and guard.c. */

/* What is found out of one access. */
struct portion_guard_facts {
    const struct portion_guard_access *access;
    struct portion_guard_binding *from;
    struct portion_guard_call *from_call;
    const struct portion *portion;          /* whose page is accessed */
    size_t page;                            /* of its own ones */
    struct portion_guard_binding *owner;    /* a view that has the frame */
    struct portion_guard_binding *own_view; /* of the portion in this address space */
    struct portion_guard_call *resumed;
    const char *rule;
    struct pattern_cache fresh; /* of a portion that has no view yet */
    struct decision_request request;
};

void portion_guard_find_facts(struct portion_guard *guard, const struct portion_guard_vcpu *vcpu,
                              const struct portion_guard_access *access,
                              struct portion_guard_facts *facts);

/* Whose view the vCPU is in; NULL: the default view. */
struct portion_guard_binding *portion_guard_current(struct portion_guard *guard,
                                                    const struct portion_guard_vcpu *vcpu);
/* Its number; 0 of NULL. */
uint32_t portion_guard_view_of(const struct portion_guard *guard,
                               const struct portion_guard_binding *binding);
/* A call that is unused, or else the one that waits for longest; NULL: all are at work. */
struct portion_guard_call *portion_guard_free_call(struct portion_guard_binding *binding);

#endif
