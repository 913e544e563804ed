/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/arena.h"

uint64_t arena_take(struct arena *arena, uint64_t bytes, uint64_t alignment)
{
    uint64_t start = (arena->next + alignment - 1) & ~(alignment - 1);

    if (start < arena->next || start > arena->end || bytes > arena->end - start)
        return 0;
    arena->next = start + bytes;
    return start;
}
