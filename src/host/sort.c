/* SPDX-License-Identifier: Apache-2.0 */
#include "host/sort.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

static uint64_t key(const uint8_t *base, size_t index, size_t size)
{
    uint64_t value;

    memcpy(&value, base + index * size, sizeof(value));
    return value;
}

static void swap(uint8_t *base, size_t a, size_t b, size_t size)
{
    uint8_t kept[SORT_SIZE];

    memcpy(kept, base + a * size, size);
    memcpy(base + a * size, base + b * size, size);
    memcpy(base + b * size, kept, size);
}

/* Lets the element sink to its place in the heap of the first count ones. */
static void sink(uint8_t *base, size_t at, size_t count, size_t size)
{
    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= count)
            return;
        if (child + 1 < count && key(base, child, size) < key(base, child + 1, size))
            child++;
        if (key(base, at, size) >= key(base, child, size))
            return;
        swap(base, at, child, size);
        at = child;
    }
}

void sort_by_key(void *base, size_t count, size_t size)
{
    assert(size >= sizeof(uint64_t) && size <= SORT_SIZE);
    for (size_t at = count / 2; at-- > 0;)
        sink(base, at, count, size);
    for (size_t last = count; last-- > 1;) {
        swap(base, 0, last, size);
        sink(base, 0, last, size);
    }
}
