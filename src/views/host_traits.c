/* SPDX-License-Identifier: Apache-2.0 */
#include "views/host_traits.h"

#include <string.h>

enum engine_kind engine_choose(const struct host_traits *traits, const char **why)
{
    const char *ignored;

    if (why == NULL)
        why = &ignored;
    if (traits->paging.kind == PAGING_HARDWARE) {
        *why = "the processor walks page tables: siblings need no more than an empty TLB";
        return ENGINE_FLIP;
    }
    if (traits->paging.kind == PAGING_SHADOW && traits->logs_each_write) {
        *why = "page tables are shadowed, and the dirty ring tells each write of ring 0";
        return ENGINE_FLIP;
    }
    *why = "page tables are shadowed, and a sibling VM would not hear of writes to them cheaply";
    return ENGINE_REMAP;
}

static const char *const names[ENGINE_KINDS] = {
    [ENGINE_FLIP] = "flip",
    [ENGINE_REMAP] = "remap",
    [ENGINE_SLOTS] = "slots",
};

const char *engine_name(enum engine_kind kind)
{
    return names[kind];
}

enum engine_kind engine_by_name(const char *name)
{
    int kind = 0;

    while (kind < ENGINE_KINDS && strcmp(name, names[kind]) != 0)
        kind++;
    return (enum engine_kind)kind;
}
