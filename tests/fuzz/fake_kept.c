/* SPDX-License-Identifier: Apache-2.0 */
/* What one run leaves for the next one on the fake KVM, because to get it anew is most of what a
 * run costs. The linker's --wrap puts these in the place of what they are called after. */
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_kvm.h"
#include "host/memory.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wreserved-id-macro"

#define KEPT_MOST (4U << 20)

/*
 * The memory of one machine after the other: to map 18 MB anew and to let go of them is most of
 * what a short input costs. What is left behind in it is taken out, and what each one begins with
 * is mended where it has changed.
 */
static struct memory kept;
static bool is_kept;
static const uint8_t *begins; /* the bytes from begins_at on */
static uint64_t begins_at, begins_size;

void fake_kvm_begin_with(const uint8_t *bytes, uint64_t at, uint64_t size)
{
    begins = bytes;
    begins_at = at;
    begins_size = size;
}

static void mend(const struct memory *memory)
{
    for (uint64_t page = 0; page < begins_size; page += PAGE_SIZE)
        if (memcmp(memory->base + begins_at + page, begins + page, PAGE_SIZE) != 0)
            memcpy(memory->base + begins_at + page, begins + page, PAGE_SIZE);
}

int __real_memory_create(struct memory *memory, uint64_t size, struct error *error);
int __wrap_memory_create(struct memory *memory, uint64_t size, struct error *error)
{
    if (!is_kept || kept.size != size) {
        const int code = __real_memory_create(memory, size, error);

        if (code == 0)
            mend(memory);
        return code;
    }
    is_kept = false;
    *memory = kept;
    return 0;
}

/* Zeros, but for what it begins with; the length of what was cleared. */
static uint64_t clear(const struct memory *memory, uint64_t start, uint64_t end)
{
    const uint64_t behind = begins_at + begins_size;
    const uint64_t low = end < begins_at ? end : begins_at;
    const uint64_t high = start > behind ? start : behind;

    if (start < low)
        memset(memory->base + start, 0, low - start);
    if (high < end)
        memset(memory->base + high, 0, end - high);
    return (start < low ? low - start : 0) + (high < end ? end - high : 0);
}

/* False: there is so much that it is cheaper to have none. */
static bool make_empty(const struct memory *memory)
{
    uint64_t cleared = 0;
    off_t end = 0;
    off_t start;

    while ((start = lseek(memory->fd, end, SEEK_DATA)) >= 0) {
        end = lseek(memory->fd, start, SEEK_HOLE);
        if (end < 0 || cleared > KEPT_MOST)
            return false;
        cleared += clear(memory, (uint64_t)start, (uint64_t)end);
    }
    mend(memory);
    return true;
}

void __real_memory_destroy(struct memory *memory);
void __wrap_memory_destroy(struct memory *memory)
{
    if (is_kept || memory->fd < 0 || !make_empty(memory)) {
        __real_memory_destroy(memory);
        return;
    }
    kept = *memory;
    is_kept = true;
}

/* Pages that are given back are empty. To have the kernel take each of them costs more. */
int __real_madvise(void *at, size_t length, int advice);
int __wrap_madvise(void *at, size_t length, int advice)
{
    if (advice != MADV_REMOVE)
        return __real_madvise(at, length, advice);
    memset(at, 0, length);
    return 0;
}
