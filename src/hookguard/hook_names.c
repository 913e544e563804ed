/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "hookguard/hook_plan.h"

static const char *const names[] = {
    "padding",      "api-nx",      "app-nx", "gate-sites",   "gate-index",    "read-only",
    "agent-hidden", "agent-stack", "copies", "return-check", "mapping-check", "kernel-nx",
};

#define NAMES (sizeof(names) / sizeof(names[0]))

_Static_assert(HOOK_ALL_DEFENCES == (1U << NAMES) - 1, "each has a name");

uint32_t hook_defence_by_name(const char *name)
{
    for (unsigned int i = 0; i < NAMES; i++)
        if (strcmp(names[i], name) == 0)
            return 1U << i;
    return 0;
}

const char *hook_defence_name(unsigned int bit)
{
    return bit < NAMES ? names[bit] : NULL;
}
