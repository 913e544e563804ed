/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_KICK_H
#define HOST_KICK_H

#include <linux/kvm.h>
#include <signal.h>

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

/* Between these two the calling thread takes kicks. before: its signal mask, to be restored. */
void kicks_begin(sigset_t *before);
void kicks_end(const sigset_t *before);

/* Forgets the kicks that came until now. */
void kicks_take(void);

/* Sleeps until there is a kick to take. */
void kicks_wait(void);

/* KVM_RUN on a vCPU's file and its run page. 0, or a negative errno: -EINTR when it was kicked, or
 * when the caller had set immediate_exit. */
int kicks_run(int vcpu, struct kvm_run *run);

#endif
