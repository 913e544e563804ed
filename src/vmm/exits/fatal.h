/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_FATAL_H
#define VMM_FATAL_H

#include <stddef.h>

#include "vmm/l1.h"
#include "vmm/l2.h"

/*
 * The one fatal tail: whatever dies leaves its level, the exit and its qualification, and the
 * registers in the report.
 */

/* L1 dies, and the machine with it. format: the report's error line. */
void fatal_l1(struct l1_vcpu *l1, const char *format, ...)
    __attribute__((cold, format(printf, 2, 3)));

/* The run's time is over: the same, with what every level was doing. */
void fatal_timeout(struct l1_vcpu *l1);

/* A policy cannot go on; -EINTR: since the time was over amid a change of slots. */
void fatal_policy(const struct l2 *l2, const char *policy, int code);

/* The last exit of an L2 that L1 gives up (MEZZ_L2_DIED). */
void fatal_l2(struct l2_vcpu *vcpu);

#endif
