/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_L2_LOG_H
#define VMM_L2_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "hookguard/log/event_log.h"

struct l2;
struct l2_vcpu;

/* Appends an event to the machine's log, if it has one, with the time and the L2's name. What is
 * refused is written at once. False: the log does not have it. */
bool l2_log(struct l2 *l2, struct log_event *event, bool refused);

/* A switch between views of L1's list, or one that was refused. */
struct l2_view_event {
    unsigned int level; /* whose deed: 2 by the gate, 1 by an answer of a callback's */
    const char *reason;
    bool refused;
    uint32_t from; /* in the list */
    uint64_t to;   /* as it was asked for */
    uint64_t rip;
};

/* The same of that. Only where the machine has a log. */
void l2_log_view(struct l2_vcpu *vcpu, const struct l2_view_event *what);

#endif
