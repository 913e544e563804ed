/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_L2_EXIT_H
#define VMM_L2_EXIT_H

#include <stdbool.h>
#include <stdint.h>

#include "mezz/exit.h"

struct l2_vcpu;

/*
 * One exit of an L2 in the SDM's terms. KVM's exits are translated once; after that nobody looks at
 * the run page but for its registers.
 */
struct l2_exit {
    uint32_t reason; /* enum mezz_exit_reason */
    uint32_t flags;  /* MEZZ_EXIT_RETIRED, MEZZ_EXIT_PENDING */
    uint64_t qualification;
    uint64_t gpa;
    uint64_t linear; /* of a fetch; 0: not known */
    uint64_t value;
    uint32_t size;              /* bytes */
    uint32_t msr;               /* RDMSR, WRMSR */
    uint32_t interruption_info; /* external interrupts */
    uint8_t *answer;  /* in the run page: where the bytes that a read reads go; NULL: not a read */
    uint8_t *failure; /* in the run page: not 0 makes RDMSR and WRMSR fault; NULL: cannot */
    bool done;        /* its access took place, or was answered */
    bool unserved;    /* KVM cannot run the instruction: nobody can do the access for it */
};

/* The elements of a string I/O that KVM handed over at once and that are still to be dispatched. */
struct l2_string {
    uint8_t *next; /* IN: in the run page, where KVM wants it; OUT: in the vCPU's copy */
    uint32_t left;
    struct l2_exit first; /* of the first; an entry that failed may have come between */
};

/* Makes the next element of a string I/O, or the next queued exit, vcpu->exit. False: there is
 * none. Registers in the run page are then those at this element. */
bool l2_exit_next(struct l2_vcpu *vcpu);

/* Translates what the last KVM_RUN of the vCPU gave into vcpu->exit, and sets kvm_pending. */
void l2_exit_decode(struct l2_vcpu *vcpu);

/* Gives a pending read its value and tells KVM whether an MSR access faults. */
void l2_exit_answer(const struct l2_exit *exit, uint64_t value, bool fault);

/* Translates the access to memory in the run page. */
void l2_exit_decode_mmio(struct l2_vcpu *vcpu, struct l2_exit *to);

#endif
