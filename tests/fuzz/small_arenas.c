/* SPDX-License-Identifier: Apache-2.0 */
/* YARA's compiler has a dozen buffers of a megabyte, all zeroed, to begin with. They grow as they
 * have to: from here on. By the linker's --wrap. */
#include <stddef.h>
#include <stdint.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wreserved-id-macro"

#define FIRST 1024U /* bytes */

struct YR_ARENA;

int __real_yr_arena_create(uint32_t buffers, size_t size, struct YR_ARENA **arena);
int __wrap_yr_arena_create(uint32_t buffers, size_t size, struct YR_ARENA **arena)
{
    return __real_yr_arena_create(buffers, size < FIRST ? size : FIRST, arena);
}
