/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_SCRIPT_GUARD_H
#define VMM_SCRIPT_GUARD_H

#include "vmm/machine.h"
#include "vmm/protect/hooks/policy.h"

/* Between script_guard.c and script_events.c: what a guard owns outside of Lua. */
struct script_guard {
    struct guard_config config; /* the first member: l2_config.guard points to it */
    struct hook_plan plan;
    struct program_image library;
    struct program_image agent;
    struct program_image *program; /* config.programs of them */
    int handler;                   /* of l2:on, in the registry; with config.heard */
};

static inline struct script_guard *script_guard_of(const struct l2_config *l2)
{
    return (struct script_guard *)(uintptr_t)l2->guard;
}

#endif
