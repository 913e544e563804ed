/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CALLBACKS_H
#define VMM_CALLBACKS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/memory.h"
#include "mezz/callback.h"
#include "vmm/callbacks/conditions.h"

struct exit_counts;
struct l1_vcpu;
struct l2;
struct l2_vcpu;
struct machine;

/* A registration: the validated copy of what L1 asked for. */
struct callback {
    struct callback *next; /* of the same L2 and reason, in the order in which they are asked */
    struct l2 *l2;
    uint32_t id; /* in calls; 1 + index in machine->callback */
    struct mezz_callback_registration registration;
    struct mezz_callback_frame *frame; /* in L1's memory: written to, never trusted */
    struct condition_history history;
    struct mezz_callback_counters counters;
    struct exit_counts *counts; /* of its L2 and reason */
    bool timed;                 /* a condition looks at the time since the last firing */
    bool vectoring; /* its exits may come in the middle of an event, or its mask says so */
    /* Stack and frame are one: its handler runs for one vCPU of L1 at a time, and others wait. */
    uint32_t turn;       /* of the number that has the handler, when somebody has drawn it */
    uint32_t turns;      /* numbers that were drawn */
    unsigned int asking; /* vCPUs that look at its conditions, which may wait meanwhile */
};

/* It cannot be taken away or replaced. */
static inline bool callback_in_use(const struct callback *callback)
{
    return callback->turn != callback->turns || callback->asking > 0;
}

/* Validates all of it before anything is altered. The number of the callback, or -mezz_error. */
int64_t callback_register(struct machine *machine, const struct mezz_callback_registration *copy);
int64_t callback_unregister(struct machine *machine, uint64_t id);
struct callback *callback_find(struct machine *machine, uint64_t id);
void callbacks_remove_all(struct l2 *l2);
/* Adds a registration's counters to its L2's report. */
void callback_report(const struct callback *callback);

/* Whether all its conditions hold for the exit; counts one that does not. */
bool callback_holds(struct callback *callback, struct l2_vcpu *vcpu);

/* Looks for the first registration of this mode, from this one on, whose conditions hold for the
 * exit, and counts. NULL: none. */
static inline struct callback *callback_choose(struct l2_vcpu *vcpu, struct callback *callback,
                                               uint32_t mode)
{
    for (; callback != NULL; callback = callback->next) {
        if (callback->registration.mode != mode)
            continue;
        callback->history.since_firing++;
        callback->counters.evaluated++;
        if (callback->registration.condition_count == 0 || callback_holds(callback, vcpu))
            return callback;
    }
    return NULL;
}

/* Fills the frame and puts L1 at the handler, when no other vCPU of L1 is in it. Not if the machine
 * ends before. */
void callback_deliver(struct l1_vcpu *l1, struct l2_vcpu *vcpu, struct callback *callback);

/* No vCPU of L1 but this one waits for the handler any more: another registration may get its
 * address, or another vCPU its stack. */
void callback_forget_waiting(struct machine *machine, const struct callback *callback,
                             const struct l1_vcpu *but);

/* MEZZ_CALL_CALLBACK_RETURN: carries the action out. 0, or the error that the handler gets. */
int64_t callback_return(struct l1_vcpu *l1, uint64_t action, uint64_t value, uint64_t flags);

#endif
