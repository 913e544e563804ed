/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/cli_signals.h"

#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>

#include "vmm/machine.h"

static const int caught[] = {SIGINT, SIGTERM, SIGHUP};

volatile sig_atomic_t cli_signal;
static _Atomic(struct machine *) watched;
static atomic_int handlers;

static void on_signal(int number)
{
    struct machine *machine;

    atomic_fetch_add(&handlers, 1);
    cli_signal = number;
    machine = atomic_load(&watched);
    if (machine != NULL)
        machine_stop(machine, number);
    atomic_fetch_sub(&handlers, 1);
}

void cli_signals_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
        sigaction(caught[i], &action, NULL);
}

void cli_signals_watch(struct machine *machine)
{
    atomic_store(&watched, machine);
    /* A handler on another thread may hold the former machine; one on this thread is over. */
    while (atomic_load(&handlers) != 0)
        sched_yield();
    if (machine != NULL && cli_signal != 0)
        machine_stop(machine, cli_signal);
}
