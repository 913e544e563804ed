/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_VIEW_H
#define VIEWS_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "host/kvm.h"
#include "host/memory.h"
#include "views/ept12.h"

/*
 * A view: what one EPT12 lets an L2 see, as memory slots of the L2's VM.
 *
 *   RWX      an ordinary slot
 *   R-X      a read-only slot
 *   RW-, R-- no slot: each data access exits, and the root serves it (view_access)
 *   absent   no slot
 */
struct view {
    const struct kvm_vm *vm;
    const struct l1_memory *l1;
    uint64_t eptp; /* of the extents; 0: none was built */
    struct extent_table extents;
    struct ept12_edits edits; /* leaves that the root altered */
    uint64_t builds;          /* counts view_build: slots were gone for a moment */
    uint32_t *slot;           /* of each extent; VIEW_NO_SLOT */
    struct extent_table next; /* memory that the following build uses */
    uint32_t *free_slot;      /* a stack */
    uint32_t free_count;
    uint32_t used_slots;
    uint32_t slot_limit;
};

#define VIEW_NO_SLOT UINT32_MAX

void view_init(struct view *view, const struct kvm_vm *vm, const struct l1_memory *l1);
void view_destroy(struct view *view);

/* Walks the EPT12 and alters just the slots that differ from what the VM has. 0; a positive
 * mezz_error of ept12_walk, with nothing altered; or a negative errno of KVM or malloc, after which
 * the VM has no slots at all and eptp is 0. */
int view_build(struct view *view, uint64_t eptp, struct ept12_fault *fault);

/* What EPT12 says of one address now, which may be more than what the slots say: L1 need not tell
 * when an entry that was not present becomes present. */
int view_lookup(struct view *view, l2_address address, struct ept12_translation *translation);

/* Whether the built view already has the address with these rights. */
bool view_has(const struct view *view, l2_address address, uint32_t rights);

/* One data access of at most 8 bytes on memory that EPT12 has and a slot does not (write: `data` to
 * memory). 0, or -EFAULT where a byte of it is not allowed; nothing is then altered. */
int view_access(struct view *view, l2_address address, bool write, void *data, uint32_t length);

#endif
