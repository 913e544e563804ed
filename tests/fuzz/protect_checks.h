/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_PROTECT_CHECKS_H
#define TESTS_FUZZ_PROTECT_CHECKS_H

#include <stdbool.h>
#include <stdint.h>

struct kvm_run;
struct l2_vcpu;

/* What must hold when a protected L2's vCPU is about to run in a VM; ends the program if not. */
void protect_check_portions(struct l2_vcpu *vcpu, unsigned int vm);
void protect_check_guard(struct l2_vcpu *vcpu, unsigned int vm);

/* The run that was looked at last ends: what the vCPU has now. */
void protect_left(const struct kvm_run *run);
/* Somebody else than the root will do something before the next run. */
void protect_forget(void);

/* --- what both are made of --- */

void protect_must(bool holds, const char *what, uint64_t frame);
/* What the vCPU's overlay leaves of a page's rights. */
uint32_t protect_rights(const struct l2_vcpu *vcpu, uint64_t frame);
/* The vCPU is about to run in this view of its policy; 0: the one of all others. Whoever was
 * outside of 64-bit mode is in none but that. */
void protect_entered(const struct l2_vcpu *vcpu, uint32_t view);
/* Slots show what the overlay says, and no more. */
void protect_check_slots(struct l2_vcpu *vcpu, unsigned int vm);

#endif
