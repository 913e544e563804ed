/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CALL_GUEST_H
#define BENCH_CALL_GUEST_H

#include "hookguard/hooks/plan.h"
#include "hookguard/portions/portions.h"
#include "vmm/machine.h"
#include "vmm/protect/hooks/policy.h"

/*
 * A tiny-OS under nested_l1 with one program that calls for ever what is guarded: a library's
 * function, or a portion of its own. Driven by the calling thread, call by call.
 */
enum call_kind {
    CALL_GUARDED,   /* the agent allows it; in by the gate */
    CALL_DENIED,    /* it does not */
    CALL_API_NX,    /* allowed; in by a fetch that fails */
    CALL_UNGUARDED, /* a thousand unguarded calls for each guarded one */
    CALL_PORTION,
    CALL_STRICT, /* a portion whose data is never executable */
    CALL_KINDS
};

#define CALL_UNGUARDED_EACH 1000U

struct call_guest {
    struct machine *machine;
    struct hook_plan plan;
    struct program_image library;
    struct program_image agent;
    struct guard_config guard;
    struct portion_table portions;
};

/* images: the directory; engine: NULL: the host's own. 0, or a negative errno with a message. */
int call_guest_create(struct call_guest *guest, enum call_kind kind, const char *engine,
                      const char *images, const char *kvm, struct error *error);
void call_guest_destroy(struct call_guest *guest);

/* Between these two the thread is the machine's physical CPU. */
int call_guest_begin(struct call_guest *guest, struct error *error);
void call_guest_end(struct call_guest *guest);

/* To the end of the next call. -EPROTO when a guest died. */
int call_guest_step(struct call_guest *guest, struct error *error);

/* The machine's timer has ended somebody else's KVM_RUN. */
void call_guest_tick(struct call_guest *guest);

struct call_counts {
    uint64_t exits; /* of L2, those of time not among them */
    uint64_t kvm_runs;
    uint64_t other_ioctls; /* of its vCPUs */
};

struct call_counts call_guest_counts(const struct call_guest *guest);

#endif
