/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_L2_VIEW_H
#define VMM_L2_VIEW_H

#include "vmm/exits/guest_walk.h"
#include "vmm/l2.h"

/*
 * Between L2s and their views (views/space.h): the engine, the turns of vCPUs that cannot be in
 * different views at the same time, and vcpu->kvm, which is another KVM vCPU after a switch.
 *
 * A vCPU that has to wait for another one's turn to end waits without machine->lock; what else the
 * machine has may be altered meanwhile. With one L1 vCPU nobody ever waits.
 */

/* -EAGAIN (all of these): the machine ended while the vCPU waited. */

/* Before each KVM_RUN of L2 code. A positive mezz_error: EPT12 is wrong now; a negative errno. */
int l2_view_wait(struct l2_vcpu *vcpu);
static inline int l2_view_prepare(struct l2_vcpu *vcpu)
{
    /* Nearly always. */
    if (vcpu->l2->claim == NULL && view_vcpu_prepare(&vcpu->place, NULL) == 0) {
        vcpu->kvm = vcpu->place.kvm;
        return 0;
    }
    return l2_view_wait(vcpu);
}
/* Before a KVM_RUN that only ends an instruction. */
int l2_view_hold(struct l2_vcpu *vcpu);
/* After each of them. True: the exit was the engine's own. */
void l2_view_turn_is_over(struct l2_vcpu *vcpu);
static inline bool l2_view_after(struct l2_vcpu *vcpu)
{
    bool own = view_vcpu_after(&vcpu->place);

    if (vcpu->l2->claim != NULL)
        l2_view_turn_is_over(vcpu);
    return own;
}

/* Puts the vCPU, which has no instruction pending, into the view of this EPTP; of this index in the
 * EPTP list; under this overlay or none. 0, a positive mezz_error, a negative errno. */
int l2_view_use(struct l2_vcpu *vcpu, uint64_t eptp);
int l2_view_switch(struct l2_vcpu *vcpu, uint32_t index, enum view_carry carry);
int l2_view_overlay(struct l2_vcpu *vcpu, struct space_overlay *overlay, enum view_carry carry);

/* Whether another vCPU of the L2 is in KVM_RUN. None begins one before machine->lock is released.
 */
bool l2_view_others_run(const struct l2_vcpu *vcpu);
/* Ends the KVM_RUNs of the L2's other vCPUs, and waits for that: until machine->lock is released
 * again none of them runs. The caller's vCPU does not run, either. */
void l2_view_stop_others(struct l2_vcpu *vcpu);

/* The memory that the vCPU sees, for guest_view_read(). It is in a view. */
struct guest_view l2_view_memory(const struct l2_vcpu *vcpu);

/* Once in a machine's life: what engines this host can have. It takes memory from the host, so a
 * machine whose L2s will need it asks before it runs. 0 or MEZZ_E_HOST. */
int l2_view_look_at_host(struct machine *machine);

/* Makes the L2 one that may have several views: looks at the host once in a machine's life. 0, or
 * MEZZ_E_BUSY while a vCPU of it runs, or MEZZ_E_HOST. */
int l2_view_need_engine(struct l2 *l2);

#endif
