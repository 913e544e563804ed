/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_FRESH_H
#define VIEWS_FRESH_H

#include <stdbool.h>
#include <stdint.h>

#include "host/kvm.h"

/*
 * KVM vCPUs are used again, by other vCPUs of the same L2. What a guest can leave behind in one
 * beyond what each entry loads - MSRs that are not in the VMCS12, XCR0, x87 and vector registers,
 * CR8, the time stamp's offset - becomes what it was in the space's first one before anything ran.
 */

#define FRESH_MSRS 256

struct fresh_vcpu {
    bool taken;
    bool has_sregs;
    bool has_xcrs;
    bool has_tsc_offset;
    uint32_t count;
    uint64_t tsc_offset;
    struct kvm_sregs sregs;
    struct kvm_xcrs xcrs;
    struct kvm_msr_entry msr[FRESH_MSRS]; /* those that this KVM has */
};

/* Of a vCPU that has never run; only the first counts. */
void fresh_take(struct fresh_vcpu *fresh, struct kvm_vcpu *vcpu);

/* The next state is somebody else's: nothing of this vCPU's past goes on. A negative errno: it
 * cannot be used again. */
int fresh_restore(const struct fresh_vcpu *fresh, struct kvm_vcpu *vcpu);

#endif
