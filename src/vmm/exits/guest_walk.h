/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_GUEST_WALK_H
#define VMM_GUEST_WALK_H

#include <stddef.h>
#include <stdint.h>

#include "host/memory.h"
#include "views/ept12.h"

/*
 * A walk of L2's own page tables in software (SDM 4.3 to 4.6), for what KVM does not tell: the
 * address of a fetch that failed, the bytes of the instruction at RIP. It reads only: accessed and
 * dirty flags stay as they are. At most 4 entries are read, each once.
 *
 * Differences from a processor: the PDPTEs of PAE paging are read from memory (a processor keeps
 * those of the last MOV to CR3); protection keys, shadow stacks and 5-level paging are not there.
 */

struct guest_paging {
    uint64_t cr0;
    uint64_t cr3;
    uint64_t cr4;
    uint64_t efer;
    uint64_t rflags;            /* AC, for SMAP */
    unsigned int physical_bits; /* bits of a physical address that are not reserved; 0: 52 */
};

enum guest_access {
    GUEST_READ = 0,
    GUEST_WRITE = 1U << 0,
    GUEST_FETCH = 1U << 1,
    GUEST_USER = 1U << 2, /* with CPL 3 */
    GUEST_ANY = 1U << 3   /* rights are not checked: where is it mapped? */
};

/* How the walk reads L2-physical memory: all of the length and 0, or a negative errno value. */
struct guest_reader {
    int (*read)(void *context, l2_address address, void *to, size_t length);
    void *context;
};

/* Context of guest_view_read: L2 memory through a view. */
struct guest_view {
    const struct l1_memory *l1;
    const struct extent_table *extents;
};

/* A guest_reader's read: -EFAULT where the view has no extent or L1 no memory. */
int guest_view_read(void *context, l2_address address, void *to, size_t length);

/* Where it lies, all of it in one page; NULL: nowhere. */
const void *guest_view_pointer(void *context, l2_address address, size_t length);

struct guest_translation {
    l2_address address;
    uint64_t page_size;  /* bytes */
    unsigned int rights; /* of all levels: MEZZ_EPT_READ, _WRITE, _EXECUTE, as the tables say */
    unsigned int user;   /* 1: ring 3 may use it */
};

enum guest_fault_kind {
    GUEST_FAULT_NONE,
    GUEST_FAULT_NOT_CANONICAL, /* #GP or #SS, no page fault */
    GUEST_FAULT_NOT_PRESENT,   /* #PF */
    GUEST_FAULT_RESERVED,      /* #PF: a reserved bit of an entry is set */
    GUEST_FAULT_RIGHTS,        /* #PF */
    GUEST_FAULT_TABLE,         /* `table` could not be read: an EPT violation during the walk */
    GUEST_FAULT_MEMORY         /* guest_read: the page that it is mapped to could not be read */
};

struct guest_fault {
    enum guest_fault_kind kind;
    uint32_t error_code; /* of the #PF (SDM figure 4-12) */
    uint64_t linear;     /* CR2 */
    unsigned int level;  /* 4 to 1 of the entry that said so; 0: none */
    l2_address table;    /* where that entry is; GUEST_FAULT_MEMORY: the address */
};

/* access: enum guest_access together. Returns 0; -EFAULT and the fault; -EOPNOTSUPP with CR4.LA57.
 * linear: 64 bits in long mode, otherwise cut to 32. */
int guest_walk(struct guest_translation *translation, const struct guest_paging *paging,
               uint64_t linear, unsigned int access, const struct guest_reader *reader,
               struct guest_fault *fault);

/* Reads linear memory. Returns how many bytes could be read from the start, with the fault (kind
 * GUEST_FAULT_NONE if it is all of them) that stopped it; -EOPNOTSUPP; -EINVAL if length > 4096. */
int guest_read(const struct guest_paging *paging, uint64_t linear, unsigned int access, void *to,
               size_t length, const struct guest_reader *reader, struct guest_fault *fault);

#endif
