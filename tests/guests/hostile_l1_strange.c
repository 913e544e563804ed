/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and addresses that the hostile L1 takes. */
#include "hostile_l1.h"

uint64_t strange_number(void)
{
    static const uint64_t edges[] = {
        0,
        1,
        2,
        63,
        64,
        65,
        255,
        256,
        257,
        511,
        512,
        513,
        4095,
        4096,
        4097,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x100000000,
        0x7fffffffffffffff,
        0x8000000000000000,
        0xfffffffffffff000,
        0xffffffffffffffff,
    };

    switch (below(4)) {
    case 0:
        return chance();
    case 1:
        return below(70);
    case 2:
        return 1ULL << below(64);
    default:
        return edges[below(sizeof(edges) / sizeof(edges[0]))];
    }
}

uint64_t strange_address(void)
{
    switch (below(12)) {
    case 0:
        return arena_page() + below(4096);
    case 1:
        return kit.memory_end - below(16);
    case 2:
        return kit.memory_end + below(1 << 20);
    case 3:
        return (UINT64_MAX - below(1 << 16)) | 1ULL << 40;
    case 4:
        return kit.memory_end | chance() << 32;
    default:
        return arena_page();
    }
}

uint64_t strange_id(void)
{
    uint64_t id = one_in(10) ? strange_number() : below(12);

    return id == CANARY ? CANARY + 1 : id;
}
