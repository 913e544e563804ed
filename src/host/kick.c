/* SPDX-License-Identifier: Apache-2.0 */
#include "host/kick.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/ioctl.h>

/* Of the calling thread; the handler runs on it, too. */
static _Thread_local volatile sig_atomic_t kicked;
static _Thread_local struct kvm_run *volatile running;

static void on_kick(int number)
{
    struct kvm_run *run = running;

    (void)number;
    kicked = 1;
    /* It may come between kicks_run's look at `kicked` and the entry into the kernel. */
    if (run != NULL)
        run->immediate_exit = 1;
}

static void change_mask(int how, sigset_t *before)
{
    sigset_t kick;

    sigemptyset(&kick);
    sigaddset(&kick, KICK_SIGNAL);
    pthread_sigmask(how, &kick, before);
}

void kicks_begin(sigset_t *before)
{
    /* KVM_RUN is never restarted; whatever else the thread does is. */
    struct sigaction action = {.sa_handler = on_kick, .sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    sigaction(KICK_SIGNAL, &action, NULL);
    change_mask(SIG_UNBLOCK, before);
}

void kicks_end(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
    kicked = 0;
}

void kicks_take(void)
{
    kicked = 0;
}

void kicks_wait(void)
{
    sigset_t open;

    change_mask(SIG_BLOCK, &open);
    sigdelset(&open, KICK_SIGNAL);
    while (!kicked)
        sigsuspend(&open);
    change_mask(SIG_UNBLOCK, NULL);
}

int kicks_run(int vcpu, struct kvm_run *run)
{
    unsigned char wanted = run->immediate_exit;
    int code;

    running = run;
    atomic_signal_fence(memory_order_seq_cst);
    if (kicked)
        run->immediate_exit = 1;
    code = ioctl(vcpu, KVM_RUN, 0) < 0 ? -errno : 0;
    running = NULL;
    atomic_signal_fence(memory_order_seq_cst);
    run->immediate_exit = wanted;
    /* As with a signal: not every KVM says so for immediate_exit. */
    if (code == -EINTR)
        run->exit_reason = KVM_EXIT_INTR;
    return code;
}
