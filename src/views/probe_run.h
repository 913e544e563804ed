/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_PROBE_RUN_H
#define VIEWS_PROBE_RUN_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "host/kvm.h"

/*
 * Runs of the probes' small guests, for a limited time: one that does not exit is kicked. The
 * thread may be one that takes kicks already; those that are not the probe's do not end its runs,
 * and are not lost.
 */
struct probe_run {
    timer_t timer;
    sigset_t before;
    uint64_t deadline; /* CLOCK_MONOTONIC in ns */
};

int probe_run_begin(struct probe_run *run, struct error *error);
void probe_run_end(struct probe_run *run);

/* Segments of 4 GiB for ring 0, with code of 64 bits or of 32. */
void probe_run_flat(struct kvm_sregs *sregs, bool long_mode);

/* KVM_RUN: 0, or a negative errno; -EINTR when the time is over. */
int probe_run_once(const struct probe_run *run, struct kvm_vcpu *vcpu);

#endif
