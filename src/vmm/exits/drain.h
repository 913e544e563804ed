/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_DRAIN_H
#define VMM_DRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct l2_vcpu;

/*
 * Drain before touch: lets KVM end the instruction that it has pending, without running L2 further,
 * so that registers can be replaced afterwards (otherwise KVM would overwrite them at the next
 * KVM_RUN). Everything that replaces state of a vCPU calls this first. 0; -EAGAIN: the machine
 * ended meanwhile; another negative errno of KVM, which ends the machine: nobody knows then what
 * the instruction has done.
 *
 * Of a REP string instruction only the elements end that were dealt with: RIP is at it, and the
 * others run when L2 does. Writes that the instruction makes on the way are queued, to be presented
 * afterwards. A read that nobody has answered yet takes the instruction, or the element, back: it
 * runs again with L2, and what it stored meanwhile it then stores again.
 */
int l2_drain(struct l2_vcpu *vcpu);

/* The same for an instruction whose state is looked at and not replaced: it stops at the next read,
 * which is queued as any other exit; kvm_pending is set then. */
int l2_progress(struct l2_vcpu *vcpu);

#define CODE_LENGTH 15U

/* And not compatibility mode, or an older one. */
bool l2_runs_64_bit(struct l2_vcpu *vcpu);

/* The linear address of the instruction at RIP. */
uint64_t l2_linear_rip(struct l2_vcpu *vcpu);

/* The bytes there; how many there are. */
size_t l2_read_code(struct l2_vcpu *vcpu, uint8_t code[CODE_LENGTH]);

#endif
