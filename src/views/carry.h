/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_CARRY_H
#define VIEWS_CARRY_H

#include <stdbool.h>

#include "host/kvm.h"
#include "views/space.h"

/* What a flip hands from one KVM vCPU to its sibling. Neither has an instruction pending. */

/* General and system registers, pending events, and what the run page says of them: no ioctl but
 * for what a lazy `from` did not bring along. What `to` has already is not loaded. */
void carry_run_page(struct kvm_vcpu *to, struct kvm_vcpu *from);

/* Its two parts; `from`, which is not to run with them any more, has brought them along. System
 * registers and events cost more than the general registers do, and seldom differ. */
#define CARRY_SELDOM (KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)
void carry_seldom(struct kvm_vcpu *to, struct kvm_vcpu *from);

/* And what goes with the general registers, which are in their place already. */
static inline void carry_general(struct kvm_vcpu *to, struct kvm_vcpu *from)
{
    kvm_vcpu_replaced(to, KVM_SYNC_X86_REGS);
    /* What was about to be loaded is the sibling's now. */
    if (from->run->kvm_dirty_regs != 0) {
        from->fresh &= ~(uint32_t)from->run->kvm_dirty_regs;
        from->run->kvm_dirty_regs = 0;
    }
    to->run->request_interrupt_window = from->run->request_interrupt_window;
    to->run->cr8 = from->run->cr8;
    to->run->apic_base = from->run->apic_base;
    to->run->if_flag = from->run->if_flag;
    to->run->ready_for_interrupt_injection = from->run->ready_for_interrupt_injection;
}

/* No pending events, x87 and vector registers as of a processor that starts. Negative errno. */
int carry_clear(struct kvm_vcpu *vcpu);

#define CARRIED_MSRS 192
#define CR4_FSGSBASE (1ULL << 16)

/* Those of the MSRs that go along that this KVM has. */
struct carried_msrs {
    uint32_t index[CARRIED_MSRS];
    uint32_t count;
    uint32_t at_gates; /* the first of them, that CARRY_GATE has, too */
};
void carry_find_msrs(struct carried_msrs *msrs, struct kvm_vcpu *vcpu);
/* Those that guests write when they start, if ever. */
void carry_find_seldom_msrs(struct carried_msrs *msrs, struct kvm_vcpu *vcpu);

/* SWAPGS alters KERNEL_GS_BASE, and no filter tells: whether the two may have different ones. A
 * guest without a base in GS has no use for it, unless it has WRGSBASE. */
bool carry_base_may_differ(struct kvm_vcpu *to, struct kvm_vcpu *from);
static inline bool carry_base_may_have_changed(const struct kvm_sregs *of_both)
{
    return (of_both->cr4 & CR4_FSGSBASE) != 0 || (of_both->gs.base != 0 && of_both->ss.dpl == 0);
}

/* The MSRs, which are no part of the system registers. Negative errno. */
int carry_msrs(struct kvm_vcpu *to, struct kvm_vcpu *from, const struct carried_msrs *msrs,
               enum view_carry what);

/* x87, XMM and all that XSAVE knows, XCR0, debug registers, the time stamp's offset. Negative
 * errno. */
int carry_rest(struct kvm_vcpu *to, struct kvm_vcpu *from);

/* The time stamp counter of `to` runs like that of `from`, as far as the host lets it. */
void carry_tsc(struct kvm_vcpu *to, struct kvm_vcpu *from);

/* Empties the vCPU's TLB: the processor may have translations in it from before the guest altered
 * its page tables in another VM. To be called before carry_run_page(). */
int carry_flush(struct kvm_vcpu *to, struct kvm_vcpu *from);

#endif
