/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_LIB_ARENA_H
#define L1_LIB_ARENA_H

#include <stdint.h>

/* Zeroed memory that is never given back. Zeroed, because nobody has used it before. */
struct arena {
    uint64_t next;
    uint64_t end;
};

/* An address aligned as asked (a power of two), or 0 when there is not enough. */
uint64_t arena_take(struct arena *arena, uint64_t bytes, uint64_t alignment);

#endif
