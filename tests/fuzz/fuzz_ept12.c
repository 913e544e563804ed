/* SPDX-License-Identifier: Apache-2.0 */
/* EPT12 walks over L1 memory that is the input, repeated: whatever the walk accepts must lie in
 * L1's memory, in order and without overlap, and a lookup must agree with it. */
#include <stdlib.h>
#include <string.h>

#include "views/ept12.h"

#define L1_PAGES 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_extents(const struct extent_table *table, const struct l1_memory *l1,
                          uint64_t eptp)
{
    uint64_t end = 0;

    for (size_t i = 0; i < table->count; i++) {
        const struct extent *extent = &table->extent[i];
        struct ept12_translation at;

        if (extent->length == 0 || extent->l2.value < end)
            abort();
        if (!l1_contains(l1, extent->l1, extent->length))
            abort();
        if (ept12_lookup(&at, l1, eptp, extent->l2, NULL) != 0 || at.l1.value != extent->l1.value ||
            at.rights != extent->rights)
            abort();
        end = extent->l2.value + extent->length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[L1_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
    struct memory memory = {.fd = -1, .base = bytes, .size = sizeof(bytes)};
    struct l1_memory l1 = {.memory = &memory, .size = sizeof(bytes)};
    struct extent_table table = {0};
    uint64_t eptp;

    if (size < sizeof(eptp))
        return 0;
    memcpy(&eptp, data, sizeof(eptp));
    data += sizeof(eptp);
    size -= sizeof(eptp);
    memset(bytes, 0, sizeof(bytes));
    /* Entries are scattered by their own low bits, so that few input bytes reach all four levels.
     */
    for (size_t i = 0; i + 10 <= size; i += 10) {
        uint16_t at;

        memcpy(&at, data + i, sizeof(at));
        memcpy(bytes + 8 * (at % (sizeof(bytes) / 8)), data + i + 2, 8);
    }
    eptp = (eptp & ~0xfffULL) % sizeof(bytes) | (eptp & 0xfff);
    if (ept12_walk(&table, &l1, eptp, NULL) == 0)
        check_extents(&table, &l1, eptp);
    extent_table_destroy(&table);
    return 0;
}
