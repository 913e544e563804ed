/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_SIDE_H
#define VIEWS_SIDE_H

#include <stdbool.h>

#include "host/kvm.h"
#include "views/probe_run.h"

/*
 * KVM on x86 keeps two sets of memory slots for a VM, and translations for each: what a vCPU sees
 * depends on whether it is in system management mode (KVM_CAP_MULTI_ADDRESS_SPACE). User space puts
 * a vCPU there and takes it out again by its events, so that two views are there at once, each on
 * its side, and a vCPU goes from one to the other with the next KVM_RUN and without altering slots.
 *
 * Nothing else of that mode happens: no SMI is ever sent. RSM, which would leave it and load the
 * processor's state from memory, finds none: the root names an address for it that no EPT12 can
 * map.
 *
 * Only where the processor walks page tables: KVM's shadows notice writes by one side only.
 */
#define SIDE_SLOTS (1U << 16) /* what the slot numbers of side 1 begin with */

/* Whether a small guest sees each side's own memory, alternately, and RSM does nothing there. */
bool side_probe(const struct kvm *kvm, const struct probe_run *run);

/* Of a new vCPU, which sees side 0. A negative errno. */
int side_prepare(struct kvm_vcpu *vcpu);
/* With the next KVM_RUN. */
void side_take(struct kvm_vcpu *vcpu, unsigned int side);

#endif
