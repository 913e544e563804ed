/* SPDX-License-Identifier: Apache-2.0 */
#include "host/kick.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

_Thread_local struct kick_state kick_state;

/* Of the calling thread: begins without their end, and its number. */
static _Thread_local unsigned int depth;
static _Thread_local pid_t thread;

static void on_kick(int number)
{
    struct kvm_run *run = kick_state.running;

    (void)number;
    kick_state.kicked = 1;
    /* It may come between kicks_run's look at that and the entry into the kernel. */
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

    if (depth++ == 0) {
        sigemptyset(&action.sa_mask);
        sigaction(KICK_SIGNAL, &action, NULL);
        thread = gettid();
    }
    change_mask(SIG_UNBLOCK, before);
}

void kicks_end(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
    /* One that came meanwhile may have been for the outer pair. */
    kick_state.kicked = --depth > 0;
}

pid_t kicks_thread(void)
{
    return thread;
}

void kicks_now(void)
{
    kick_state.kicked = 1;
}

void kicks_take(void)
{
    kick_state.kicked = 0;
}

void kicks_wait(void)
{
    sigset_t open;

    change_mask(SIG_BLOCK, &open);
    sigdelset(&open, KICK_SIGNAL);
    while (!kick_state.kicked)
        ppoll(NULL, 0, NULL, &open); /* as sigsuspend, which the cage does not allow */
    change_mask(SIG_UNBLOCK, NULL);
}
