/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_KICK_H
#define HOST_KICK_H

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/types.h>

/*
 * Kicks: what ends a KVM_RUN that would not end by itself. A kick is KICK_SIGNAL for the thread
 * that runs the vCPUs, by tgkill or by a timer. It ends the KVM_RUN that the thread is in;
 * one that comes at any other moment ends the next KVM_RUN at once, and every one after that until
 * kicks_take(). None is lost.
 *
 * KVM_SET_SIGNAL_MASK would do the same for two changes of the signal mask in each KVM_RUN: 5 % of
 * a bare exit on kvm_amd and kvm_intel.
 */
#define KICK_SIGNAL SIGUSR1

/* Between these two the calling thread takes kicks. before: its signal mask, to be restored. A pair
 * inside another one may forget kicks: after its end the next KVM_RUN ends at once, to be sure. */
void kicks_begin(sigset_t *before);
void kicks_end(const sigset_t *before);

/* The number of the calling thread, between the two. */
pid_t kicks_thread(void);

/* Forgets the kicks that came until now. */
void kicks_take(void);
/* As if a kick had come to the calling thread: its next KVM_RUN returns at once. */
void kicks_now(void);

/* Sleeps until there is a kick to take. */
void kicks_wait(void);

/* Of the calling thread; the handler of the signal, which runs on it, writes it too. */
struct kick_state {
    volatile sig_atomic_t kicked;
    struct kvm_run *volatile running;
};
extern _Thread_local struct kick_state kick_state __attribute__((tls_model("local-exec")));

/* KVM_RUN on a vCPU's file and its run page. 0, or a negative errno: -EINTR when it was kicked, or
 * when the caller had set immediate_exit, which is 0 afterwards. Inline: every exit of every level
 * goes through here. */
static inline int kicks_run(int vcpu, struct kvm_run *run)
{
    int code = 0;

    kick_state.running = run;
    atomic_signal_fence(memory_order_seq_cst);
    if (kick_state.kicked)
        run->immediate_exit = 1;
    if (ioctl(vcpu, KVM_RUN, 0) < 0)
        code = -errno;
    kick_state.running = NULL;
    atomic_signal_fence(memory_order_seq_cst);
    run->immediate_exit = 0;
    /* As with a signal: not every KVM says so for immediate_exit. */
    if (code == -EINTR)
        run->exit_reason = KVM_EXIT_INTR;
    return code;
}

#endif
