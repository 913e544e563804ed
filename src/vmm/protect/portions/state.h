/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PROTECT_PORTIONS_STATE_H
#define VMM_PROTECT_PORTIONS_STATE_H

#include "hookguard/portions/guard.h"
#include "mezz/abi.h"
#include "vmm/l2_policy.h"
#include "vmm/protect/kernel_entry.h"
#include "vmm/protect/portions/view_plan.h"

/* Between the files portion_*.c: an L2's portions at work. */

/* What a view of the guard (0: the default view) is in the space. */
struct portion_view {
    struct space_overlay *overlay; /* NULL: not made yet */
    struct view_plan plan;         /* that the overlay has */
    struct kept_space *kept;       /* what that came of; or NULL */
};

/* One access, and what was found out for it. */
struct portion_access_facts {
    struct portion_guard_access access;
    struct portion_guard_registers keep;
    struct kernel_entry entry;
};

/* A vCPU. */
struct portion_place {
    struct portion_guard_vcpu in; /* where the guard has it */
    uint32_t shown;               /* the view that it sees */
    uint64_t entered_tsc;         /* when that began, before the view was made ready */
    uint64_t entered_run;         /* vcpu->run_tsc then */
    uint64_t rip; /* of the last violation that was nobody's, and how many in a row */
    unsigned int repeated;
    bool asked; /* L1 is to decide on what follows, which is refused for this reason */
    enum decision_reason asked_for;
    struct portion_access_facts facts;
};

struct portions {
    struct l2_policy policy;
    struct l2 *l2;
    struct portion_guard *guard;
    struct guest_memory memory;
    struct guest_known known;
    struct portion_guard_memory callbacks;
    struct portion_view view[PORTION_GUARD_VIEWS + 1];
    struct portion_place place[MEZZ_MAX_L2_VCPUS];
    uint64_t version; /* of the guard's frames that the views were made of */
    bool claimed;
    struct address_space space; /* of the vCPU that is looked at */
    struct view_plan plan;
    struct view_patch *patch;
    size_t patch_capacity;
};

static inline struct portion_place *portion_place_of(struct portions *portions,
                                                     const struct l2_vcpu *vcpu)
{
    return &portions->place[vcpu->id - 1];
}

/* access.c: what is to be known of an access of the vCPU that the memory was looked at
 * with. */
void portion_access_find(struct portions *portions, struct l2_vcpu *vcpu,
                         const struct l2_access *refused, struct portion_access_facts *facts);
/* The delivery of an event, which is about to begin. */
void portion_access_of_event(struct portions *portions, struct l2_vcpu *vcpu, unsigned int vector,
                             struct portion_access_facts *facts);
/* What the processor uses by itself lies where the default view, which the vCPU is in, has less
 * than that needs. False: no such thing. */
bool portion_access_find_table(struct portions *portions, struct l2_vcpu *vcpu,
                               struct portion_access_facts *facts);

/* views.c. 0; -EPERM: see view_plan_portion; or a negative errno of the host, after which
 * the L2 cannot go on. */
/* The views have what the guard says now: to be called after each judgement. */
int portion_views_follow(struct portions *portions);
/* Makes the view what its address space looks like now. */
int portion_views_ready(struct portions *portions, uint32_t number);
/* The vCPU, which has no instruction pending, sees the view that the guard has it in. */
int portion_views_show(struct portions *portions, struct l2_vcpu *vcpu);
void portion_views_destroy(struct portions *portions);

/* answer.c: what becomes of an access. */
void portion_answer_switch(struct portions *portions, struct l2_vcpu *vcpu,
                           const struct portion_access_facts *facts,
                           const struct portion_guard_outcome *outcome);
void portion_answer_serve(struct portions *portions, struct l2_vcpu *vcpu,
                          const struct portion_access_facts *facts);
void portion_answer_error(struct portions *portions, struct l2_vcpu *vcpu,
                          const struct portion_access_facts *facts);
void portion_answer_kill(struct portions *portions, struct l2_vcpu *vcpu);

/* hold.c: interrupts while a vCPU is in a portion. */
/* The vCPU enters: `begun` is the time stamp before anything was done for that. */
void portion_hold_begin(struct portions *portions, struct l2_vcpu *vcpu, uint64_t begun);
/* True: the portion has had too little of its time for an interrupt to come now. */
bool portion_hold_back(struct portions *portions, struct l2_vcpu *vcpu);
/* The vCPU has left: what was held back comes now. */
void portion_hold_end(struct l2_vcpu *vcpu);

/* policy.c: an event is about to be put into the vCPU, which has no instruction pending. If
 * it is in a portion, that is left now, so that the kernel finds nothing of it. */
void portion_leave_for_event(struct portions *portions, struct l2_vcpu *vcpu, unsigned int vector);
/* The portion that the vCPU is in, if it is in one, is left as by the fetch's own jump. */
void portion_leave_by_fetch(struct portions *portions, struct l2_vcpu *vcpu,
                            const struct portion_access_facts *facts);
/* The host cannot: the machine ends. */
void portion_fail(const struct portions *portions, int code);

#endif
