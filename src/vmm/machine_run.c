/* SPDX-License-Identifier: Apache-2.0 */
/* A machine's threads, one for each vCPU of L1, from the cage's door to the report. */
#include <signal.h>
#include <string.h>
#include <x86intrin.h>

#include "vmm/machine_state.h"

/* Puts the calling thread into the cage, if there is one; the first guest instruction waits for
 * the last of them. Under the lock. */
static int enter_cage(struct machine *machine, enum cage_thread kind, struct error *error)
{
    int code;

    if (machine->cage == NULL)
        return 0;
    code = cage_enter(machine->cage, kind, error);
    if (code != 0)
        return code;
    machine->caged++;
    pthread_cond_broadcast(&machine->changed);
    return 0;
}

static void await_cage(struct machine *machine)
{
    while (machine->cage != NULL && machine->caged <= machine->l1_count && !machine->ended)
        pthread_cond_wait(&machine->changed, &machine->lock);
}

/* The thread that made the others. */
static int enter_last(struct machine *machine, struct error *error)
{
    int code;

    pthread_mutex_lock(&machine->lock);
    code = enter_cage(machine, CAGE_MAIN, error);
    pthread_mutex_unlock(&machine->lock);
    return code;
}

static void *vcpu_thread(void *argument)
{
    struct l1_vcpu *l1 = argument;
    struct machine *machine = l1->machine;
    struct error error;

    pthread_mutex_lock(&machine->lock);
    if (l1_vcpu_begin(l1, &error) != 0) {
        machine_end(machine, MACHINE_HOST, "%s", error.text);
    } else if (enter_cage(machine, CAGE_VCPU, &error) != 0) {
        machine_end(machine, MACHINE_HOST, "%s", error.text);
        l1_vcpu_end(l1);
    } else {
        await_cage(machine);
        while (!machine->ended) {
            if (l1->started)
                l1_vcpu_step(l1);
            else
                pthread_cond_wait(&machine->changed, &machine->lock);
        }
        l1_vcpu_end(l1);
    }
    pthread_mutex_unlock(&machine->lock);
    return NULL;
}

static void fill_report(struct machine *machine, struct machine_report *report)
{
    uint64_t tsc = __rdtsc() - machine->started_tsc;
    double ns_per_tsc = tsc == 0 ? 0 : (double)machine_time(machine) / (double)tsc;

    for (unsigned int i = 0; i < MEZZ_MAX_L2_VCPUS; i++)
        if (machine->vcpu[i] != NULL)
            l2_vcpu_report(machine->vcpu[i]);
    for (unsigned int i = 0; i < MEZZ_MAX_CALLBACKS; i++)
        if (machine->callback[i] != NULL)
            callback_report(machine->callback[i]);
    for (unsigned int i = 0; i < machine->record_count; i++) {
        struct l2_record *record = machine->record[i];

        console_flush(&record->console);
        record->report.console = console_text(&record->console);
        record->report.run_ns = (uint64_t)((double)record->run_tsc * ns_per_tsc);
        record->report.callbacks = record->callbacks;
        record->report.last_words = record->last_words;
        machine->l2_reports[i] = record->report;
        machine->report.l2_count++;
    }
    console_flush(&machine->l1_console);
    machine->report.l2 = machine->l2_reports;
    machine->report.l1.console = console_text(&machine->l1_console);
    for (unsigned int i = 0; i < machine->l1_count; i++) {
        machine->report.l1.kvm_runs += machine->l1[i]->kvm.runs;
        machine->report.l1.run_ns += (uint64_t)((double)machine->l1[i]->run_tsc * ns_per_tsc);
    }
    machine->report.last_words = machine->last_words;
    machine->report.cage = cage_facts(machine->cage);
    *report = machine->report;
}

void machine_run(struct machine *machine, struct machine_report *report)
{
    uint64_t start = machine_time(machine);
    sigset_t all, before;
    pthread_t thread[MACHINE_MAX_L1_VCPUS];
    unsigned int count = 0;
    struct error error;
    int code = 0;

    machine->deadline = start + machine->timeout;
    /* The threads that run guests take no signals of the process; the caller does. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    while (count < machine->l1_count && code == 0) {
        code = pthread_create(&thread[count], NULL, vcpu_thread, machine->l1[count]);
        count += code == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0)
        error_set(&error, code, "pthread_create: %s", strerror(code));
    else if (machine->cage != NULL)
        code = enter_last(machine, &error);
    if (code != 0) {
        pthread_mutex_lock(&machine->lock);
        machine_end(machine, MACHINE_HOST, "%s", error.text);
        pthread_mutex_unlock(&machine->lock);
    }
    for (unsigned int i = 0; i < count; i++)
        pthread_join(thread[i], NULL);
    machine->report.duration_ns = machine_time(machine) - start;
    fill_report(machine, report);
}

void machine_stop(struct machine *machine, int signal_number)
{
    atomic_store(&machine->stop_signal, signal_number);
    for (unsigned int i = 0; i < machine->l1_count; i++)
        l1_vcpu_kick(machine->l1[i]);
}
