/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PROTECT_HOOKS_POLICY_H
#define VMM_PROTECT_HOOKS_POLICY_H

#include <stdint.h>

#include "hookguard/hooks/plan.h"
#include "hookguard/portions/portions.h"

struct l2;

/* Who is asked about a call that the agent allows, before its function runs. */
enum guard_decider {
    GUARD_AGENT, /* nobody else */
    GUARD_SCRIPT,
    GUARD_L1,
    GUARD_DECIDERS
};

/* A guard of one L2's API library, as its stack file declares it. */
struct guard_config {
    const struct hook_plan *plan;
    enum portion_refusal on_refusal;
    uint64_t budget_ns; /* that events are held back in a security view; 0: not at all */
    enum guard_decider decider;
    uint64_t patience_ns;                /* for an answer of the stack file's */
    bool heard;                          /* the stack file hears of events */
    const struct program_image *program; /* of the L2, by which callers are named */
    size_t programs;
};

/* config outlives the L2. Before it has a vCPU. 0 or a mezz_error. */
int hook_policy_add(struct l2 *l2, const struct guard_config *config);

#endif
