/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_MEMORY_H
#define HOST_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "host/error.h"

/*
 * The machine's memory: one memfd, mapped once. Three kinds of address, which do not convert by
 * accident: an L2-physical address becomes an L1-physical one only through EPT12 (views/), an
 * L1-physical one becomes a pointer only through l1_pointer().
 */
typedef struct {
    uint64_t value;
} l1_address;

typedef struct {
    uint64_t value;
} l2_address;

struct memory {
    int fd;
    uint8_t *base;
    uint64_t size;
};

/* The part of the machine's memory that is L1's, from L1-physical address 0 on. */
struct l1_memory {
    const struct memory *memory;
    uint64_t offset; /* in the memfd: the host-physical address of L1-physical 0 */
    uint64_t size;
};

#define PAGE_SIZE       4096ULL
#define LARGE_PAGE_SIZE (2ULL << 20)

static inline l1_address l1_at(uint64_t value)
{
    return (l1_address){value};
}

static inline l2_address l2_at(uint64_t value)
{
    return (l2_address){value};
}

/* size: a multiple of PAGE_SIZE. -ENOMEM, -EINVAL with a message. */
int memory_create(struct memory *memory, uint64_t size, struct error *error);
/* Memory that no file stands for: fd is -1. */
int memory_create_unnamed(struct memory *memory, uint64_t size, struct error *error);
void memory_destroy(struct memory *memory);

/* Whether all of [address, address + length) is L1's memory; no length is too large for the sum. */
static inline int l1_contains(const struct l1_memory *l1, l1_address address, uint64_t length)
{
    return address.value <= l1->size && length <= l1->size - address.value;
}

/* The only way from an L1-physical address to a pointer. NULL unless l1_contains(). What is read
 * through it may change at any moment: copy once (l1_read), validate the copy, use the copy. */
static inline void *l1_pointer(const struct l1_memory *l1, l1_address address, uint64_t length)
{
    if (!l1_contains(l1, address, length))
        return NULL;
    return l1->memory->base + l1->offset + address.value;
}

/* Copies; 0, or -EFAULT unless l1_contains(). */
int l1_read(const struct l1_memory *l1, l1_address address, void *to, uint64_t length);
int l1_write(const struct l1_memory *l1, l1_address address, const void *from, uint64_t length);

#endif
