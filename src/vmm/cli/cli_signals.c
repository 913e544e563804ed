/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/cli_signals.h"

#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>

#include "vmm/machine.h"

static const int caught[] = {SIGINT, SIGTERM, SIGHUP};

volatile sig_atomic_t cli_signal;
static _Atomic(struct machine *) watched;
static _Atomic pid_t forwarded_to;
static atomic_int handlers;

/* One that somebody has stopped is to hear of it, too. */
static void forward(pid_t process, int number)
{
    if (process == 0)
        return;
    kill(process, number);
    kill(process, SIGCONT);
}

static void on_signal(int number)
{
    struct machine *machine;

    atomic_fetch_add(&handlers, 1);
    cli_signal = number;
    machine = atomic_load(&watched);
    if (machine != NULL)
        machine_stop(machine, number);
    forward(atomic_load(&forwarded_to), number);
    atomic_fetch_sub(&handlers, 1);
}

static void catch_with(int flags)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags | SA_RESTART};
    struct sigaction before;

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
        if (sigaction(caught[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(caught[i], &action, NULL);
}

void cli_signals_reader_gone(void)
{
    on_signal(SIGPIPE);
}

void cli_signals_catch(void)
{
    catch_with((int)SA_RESETHAND);
}

void cli_signals_catch_all(void)
{
    atomic_store(&handlers, 0);
    catch_with(0);
}

void cli_signals_hold(sigset_t *before)
{
    sigset_t held;

    sigemptyset(&held);
    for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
        sigaddset(&held, caught[i]);
    pthread_sigmask(SIG_BLOCK, &held, before);
}

void cli_signals_release(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* A handler on another thread may hold what was there before; one on this thread is over. */
static void await_handlers(void)
{
    while (atomic_load(&handlers) != 0)
        sched_yield();
}

void cli_signals_forward(pid_t process)
{
    atomic_store(&forwarded_to, process);
    await_handlers();
    if (cli_signal != 0)
        forward(process, cli_signal);
}

void cli_signals_watch(struct machine *machine)
{
    atomic_store(&watched, machine);
    await_handlers();
    if (machine != NULL && cli_signal != 0)
        machine_stop(machine, cli_signal);
}
