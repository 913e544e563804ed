/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"
#include "programs/odd/odd.h"

guard_callback check_odd_add, check_odd_pair, check_odd_through, check_odd_deep, check_odd_large,
    check_odd_code, check_odd_left, check_odd_right;

int64_t check_odd_add(const struct guard_call *call)
{
    if (call->argument[0] == ODD_KILLS) {
        return MEZZ_GUARD_KILL;
    }
    return call->argument[0] == ODD_DENIED ? -TINY_EACCES : MEZZ_GUARD_ALLOW;
}

/* No answer at all. */
int64_t check_odd_code(const struct guard_call *call)
{
    (void)call;
    return 5;
}

#define ALLOW(name)                                     \
    int64_t check_##name(const struct guard_call *call) \
    {                                                   \
        (void)call;                                     \
        return MEZZ_GUARD_ALLOW;                        \
    }

ALLOW(odd_pair)
ALLOW(odd_through)
ALLOW(odd_deep)
ALLOW(odd_large)
ALLOW(odd_left)
ALLOW(odd_right)
