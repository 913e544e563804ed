/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_L1_H
#define VMM_L1_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "host/kvm.h"

struct callback;
struct l2_vcpu;
struct machine;

#define DUE_TIMER  (1U << 0) /* its preemption timer ran out */
#define DUE_STOP   (1U << 1) /* a handler of another of its vCPUs stopped it */
#define DUE_POLICY (1U << 2) /* l2_policy_timer() ran out */

/* What the physical CPU runs now. */
enum l1_mode {
    L1_RUNNING,   /* L1's own code */
    L1_ENTERED,   /* L2: L1 is inside MEZZ_CALL_ENTER */
    L1_IN_HANDLER /* L1's callback handler, while it is inside MEZZ_CALL_ENTER */
};

/*
 * An L1 vCPU and the thread that is its physical CPU: the same thread runs the L2 that L1 entered.
 * machine->lock is held whenever the thread is not inside KVM_RUN or waiting.
 */
struct l1_vcpu {
    struct machine *machine;
    unsigned int index;
    struct kvm_vcpu kvm;
    enum l1_mode mode;
    bool started;       /* MEZZ_CALL_L1_VCPU_START; the first one always is */
    bool halted;        /* L1 executed HLT */
    uint32_t interrupt; /* that waits: MEZZ_EVENT_VALID and its vector, or 0 */
    struct l2_vcpu *entered;
    const struct callback *waits; /* its handler, behind its last call: MEZZ_RETURN_STAY; or NULL */
    struct kvm_regs entry_regs;   /* L1's registers at its call of ENTER */

    /* Time: one timer ends KVM_RUN at a tick, or earlier for a preemption timer. */
    pid_t process;
    pid_t thread;
    timer_t timer;
    sigset_t signals_before;
    atomic_bool running; /* thread and timer are valid: it can be kicked */
    uint64_t timer_at;   /* machine time in ns at which it is going to fire */
    uint64_t
        handler_started; /* machine time seen by the first tick inside this handler; 0: none yet */
    uint64_t handler_number; /* counts deliveries */
    uint64_t handler_seen;   /* handler_number at that tick */
    unsigned int due;        /* DUE_: what ends the entered L2's run before it runs on */
    uint64_t run_tsc;        /* spent inside KVM_RUN of L1 */
};

/* -errno and a message. */
int l1_vcpu_create(struct machine *machine, unsigned int index, struct error *error);
void l1_vcpu_destroy(struct l1_vcpu *l1);

/* Binds the vCPU to the calling thread and starts its timer; the other way round. */
int l1_vcpu_begin(struct l1_vcpu *l1, struct error *error);
void l1_vcpu_end(struct l1_vcpu *l1);

/* One KVM_RUN of whatever the physical CPU runs now, and all that follows from its exit in root
 * mode. The caller holds machine->lock. */
void l1_vcpu_step(struct l1_vcpu *l1);

/* Ends the KVM_RUN that the thread is in, or its next one. Async-signal-safe. */
void l1_vcpu_kick(struct l1_vcpu *l1);

/* KVM_RUN of L1's or an L2's vCPU, without the lock. ticks: grows by what the TSC did meanwhile. */
int l1_run(struct l1_vcpu *l1, struct kvm_vcpu *kvm, uint64_t *ticks);

/* Waits, without the lock, until the timer fires or somebody kicks. */
void l1_wait(struct l1_vcpu *l1);

/* MEZZ_CALL_L1_VCPU_START: puts the vCPU, which has not started, where the caller wants it. */
void l1_start(struct l1_vcpu *l1, struct l1_vcpu *caller, uint64_t rip, uint64_t rsp, uint64_t rdi);

/* MEZZ_CALL_L1_INTERRUPT. 0 or a mezz_error. */
int l1_interrupt(struct l1_vcpu *l1, uint32_t vector);

/* Sees that the timer fires at `at` or earlier. */
void l1_timer_not_after(struct l1_vcpu *l1, uint64_t at);

/* After a KVM_RUN that was interrupted: takes pending kicks, looks at all deadlines of the thread,
 * ends the machine when one is over, and sets DUE_TIMER and DUE_POLICY. */
void l1_check_time(struct l1_vcpu *l1);

#endif
