/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ASan maps each large block of memory, and its shadow, anew, and unmaps it: where each run takes
 * some, that is most of what it costs. Here they are kept for those of the same size, poisoned
 * meanwhile. The linker's --wrap puts these functions in the place of what they are called after.
 */
#include <sanitizer/asan_interface.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wreserved-id-macro"

#define LARGE  (64U << 10)
#define BLOCKS 32U

static struct block {
    void *at;
    size_t size;
    bool lent;
} blocks[BLOCKS];

static struct block *find(const void *at)
{
    for (size_t i = 0; at != NULL && i < BLOCKS; i++)
        if (blocks[i].at == at)
            return &blocks[i];
    return NULL;
}

/* NULL: there is none, and no room for another one. */
static struct block *find_spare(size_t size)
{
    struct block *room = NULL;

    for (size_t i = 0; i < BLOCKS; i++) {
        if (blocks[i].size == size && !blocks[i].lent)
            return &blocks[i];
        if (blocks[i].at == NULL)
            room = &blocks[i];
    }
    return room;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    struct block *block = size >= LARGE ? find_spare(size) : NULL;

    if (block == NULL)
        return __real_malloc(size);
    if (block->at == NULL)
        *block = (struct block){__real_malloc(size), size, false};
    else
        __asan_unpoison_memory_region(block->at, size);
    block->lent = true;
    return block->at;
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    size_t length;
    void *at;

    if (__builtin_mul_overflow(count, size, &length) || length < LARGE)
        return __real_calloc(count, size);
    at = __wrap_malloc(length);
    return at != NULL ? memset(at, 0, length) : NULL;
}

void __real_free(void *at);
void __wrap_free(void *at)
{
    struct block *block = find(at);

    if (block == NULL) {
        __real_free(at);
        return;
    }
    if (!block->lent)
        abort(); /* twice */
    block->lent = false;
    __asan_poison_memory_region(at, block->size);
}

void *__real_realloc(void *at, size_t size);
void *__wrap_realloc(void *at, size_t size)
{
    const struct block *block = find(at);
    void *to;

    if (block == NULL)
        return __real_realloc(at, size);
    to = __wrap_malloc(size);
    if (to != NULL) {
        memcpy(to, at, size < block->size ? size : block->size);
        __wrap_free(at);
    }
    return to;
}
