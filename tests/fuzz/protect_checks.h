/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_PROTECT_CHECKS_H
#define TESTS_FUZZ_PROTECT_CHECKS_H

#include <stdbool.h>
#include <stdint.h>

struct l2_vcpu;

/* What must hold when a protected L2's vCPU is about to run in a VM; ends the program if not. */
void protect_check_portions(struct l2_vcpu *vcpu, unsigned int vm);
void protect_check_guard(struct l2_vcpu *vcpu, unsigned int vm);

/* --- what both are made of --- */

void protect_must(bool holds, const char *what, uint64_t frame);
/* What the vCPU's overlay leaves of a page's rights. */
uint32_t protect_rights(const struct l2_vcpu *vcpu, uint64_t frame);
/* Slots show what the overlay says, and no more. */
void protect_check_slots(struct l2_vcpu *vcpu, unsigned int vm);

#endif
