/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/error.h"
#include "host/kvm.h"

/*
 * R: one exit to a user process, the least that KVM can do. A VM and a vCPU of its own, without
 * synchronized registers, signal mask, timer or lock, which runs what the L2s of the other paths
 * run, in 64-bit ring 0: two instructions of which one exits.
 */
struct bare {
    struct kvm_vm vm;
    int vcpu;
    struct kvm_run *run;
    size_t run_size;
    uint8_t *memory;
};

/* memory: the guest stores to an address without memory, otherwise it writes to a port. -errno. */
int bare_create(struct bare *bare, const struct kvm *kvm, bool memory, struct error *error);
void bare_destroy(struct bare *bare);

/* One round trip. -errno when the guest did anything but exit as it should. */
int bare_cycle(struct bare *bare);

#endif
