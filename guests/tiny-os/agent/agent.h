/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent library: everything of an agent but its callbacks. A callback looks at copies that
 * nobody else can alter and says whether the function may run with them.
 */
#ifndef TINY_AGENT_AGENT_H
#define TINY_AGENT_AGENT_H

#include "abi/calls.h"
#include "mezz/guard.h"

#include <stdint.h>

struct guard_call {
    /* Numbers as the caller gave them; a declared text or buffer is the address of the copy. */
    uint64_t argument[MEZZ_GUARD_ARGUMENTS];
    uint64_t length[MEZZ_GUARD_ARGUMENTS]; /* of the copy, bytes; a text's without the zero */
};

/* MEZZ_GUARD_ALLOW, MEZZ_GUARD_KILL, or -TINY_E*: the caller gets that, and the function does not
 * run. */
typedef int64_t guard_callback(const struct guard_call *call);

/* Calls the library's function behind its hook; for callbacks that need it. */
int64_t agent_run(uint64_t body, const uint64_t *argument);

#endif
