/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_OPERANDS_H
#define VMM_OPERANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct l2_vcpu;

/* What an instruction reads and writes in memory. */
struct operand {
    uint64_t linear;
    uint64_t size; /* bytes, at least 1 */
    bool read;
    bool written;
};

#define OPERANDS_LIMIT 8U

/* Of the instruction at RIP, in protected mode, as its registers are now; the words at RSP are the
 * last. 0: it cannot be read or decoded. Elements of a gather or scatter are not found. */
size_t operands_of(struct l2_vcpu *vcpu, struct operand operands[OPERANDS_LIMIT]);

/* Without RSP's, and of an instruction only that KVM begins anew for ever where it finds no slot
 * for them: its emulator takes these operands without an exit. 0: it is none of those. */
size_t operands_of_endless(struct l2_vcpu *vcpu, struct operand operands[OPERANDS_LIMIT]);

#endif
