/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PROTECT_GUEST_MEMORY_H
#define VMM_PROTECT_GUEST_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "host/memory.h"
#include "vmm/exits/kept_walks.h"

struct l2_vcpu;

/*
 * An L2's memory as policies of the root see it: all that EPT12 has, whatever a view leaves of it.
 * Frames are page-aligned L2-physical addresses. Functions return 0 or -EFAULT.
 */
#define GUEST_KNOWN 16U

/* Where pages were found, which is so until space_changes() says otherwise, and walks: exits of a
 * policy come by the same few again and again. */
struct guest_known {
    uint64_t eptp;
    uint64_t changes;
    uint64_t page[GUEST_KNOWN];
    uint8_t *at[GUEST_KNOWN]; /* NULL: nothing is known */
    bool met_barred;          /* by the walk that is being made */
    struct kept_walks walks;
};

struct guest_memory {
    struct guest_known *known;  /* of its owner's */
    struct l2_vcpu *vcpu;       /* by whose EPT12 */
    struct guest_paging paging; /* of that vCPU, but for CR3 */
    uint64_t writes;            /* counts guest_memory_write and what guest_memory_wrote was told */
    /* NULL, or which pages no walk goes by: as long as the version is the same, which only grows.
     */
    bool (*barred)(void *owner, uint64_t page);
    void *owner;
    uint64_t version;
};

/* How many pages the bytes from linear on are in. Behind the last address comes the first one, as
 * it does for the processor: no end is computed. length: of what a processor's register can say. */
static inline uint64_t guest_pages(uint64_t linear, uint64_t length)
{
    return (linear % PAGE_SIZE + length + PAGE_SIZE - 1) / PAGE_SIZE;
}

/* To be called with the vCPU that exited, before its memory is looked at: reads its registers. */
void guest_memory_look(struct guest_memory *memory, struct l2_vcpu *vcpu);

/* CR3 without flags and PCID: what names an address space. */
uint64_t guest_space(uint64_t cr3);

int guest_memory_read(const struct guest_memory *memory, uint64_t physical, void *to,
                      size_t length);
/* Views hear of it: page tables may lie there. */
int guest_memory_write(struct guest_memory *memory, uint64_t physical, const void *from,
                       size_t length);

/* The same within a page, where it lies: what is read there may change at any moment. NULL:
 * nowhere. Good as long as space_changes() says the same. */
const void *guest_memory_at(const struct guest_memory *memory, uint64_t physical);

/* Where a linear address is. access: enum guest_access. -EACCES: a page table is barred. */
int guest_memory_translate(const struct guest_memory *memory, uint64_t cr3, uint64_t linear,
                           unsigned int access, uint64_t *physical);
int guest_memory_read_linear(const struct guest_memory *memory, uint64_t cr3, uint64_t linear,
                             void *to, size_t length);

#endif
