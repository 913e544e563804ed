/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_TLB_PAGE_H
#define VIEWS_TLB_PAGE_H

#include <asm/kvm_para.h>

#include "host/kvm.h"
#include "views/slot_set.h"

/*
 * How the root empties a vCPU's TLB without an ioctl. KVM has it for guests that know of it: a
 * guest asks for a flush of a vCPU that does not run by a bit in that vCPU's steal time record, and
 * KVM looks at the record each time the vCPU is loaded (Documentation/virt/kvm/x86/msr.rst,
 * MSR_KVM_STEAL_TIME). Here the root asks. The records are in a page that the root puts where the
 * guest has nothing; a guest that finds it can keep its own TLB stale, and have it executed, which
 * is why some views have none (space_overlay_bare). Each VM has a page of its own: from one view
 * nobody gets at what the root asks for another one.
 */
struct tlb_page {
    uint8_t *page;
    uint64_t address; /* guest-physical; 0: no slot */
};

/* Makes the page if there is none. A negative errno. */
int tlb_page_place(struct tlb_page *tlb, const struct slot_set *slots, uint32_t slot);
/* Takes it out of the way of extents. */
void tlb_page_leave(struct tlb_page *tlb, const struct slot_set *slots, uint32_t slot);
void tlb_page_destroy(struct tlb_page *tlb);

/* Lets the vCPU look at the record of this number, below 64. False if this KVM does not. */
bool tlb_page_attach(const struct tlb_page *tlb, struct kvm_vcpu *vcpu, uint32_t number);
/* The next KVM_RUN of that vCPU begins with an empty TLB. */
void tlb_page_ask(const struct tlb_page *tlb, uint32_t number);
/* The same, by the record's byte. */
uint8_t *tlb_page_byte(const struct tlb_page *tlb, uint32_t number);
static inline void tlb_page_ask_by(uint8_t *byte)
{
    __atomic_or_fetch(byte, KVM_VCPU_FLUSH_TLB, __ATOMIC_SEQ_CST);
}
/* Whether it was asked and has not run since. */
bool tlb_page_is_asked(const struct tlb_page *tlb, uint32_t number);

/* A page that no extent covers, below 4 GiB; 0: there is none. */
uint64_t tlb_page_free_address(const struct extent_table *extents);

#endif
