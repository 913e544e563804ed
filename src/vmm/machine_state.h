/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_MACHINE_STATE_H
#define VMM_MACHINE_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "host/kvm.h"
#include "host/memory.h"
#include "host/pages.h"
#include "mezz/layout.h"
#include "views/host_traits.h"
#include "vmm/callbacks/callbacks.h"
#include "vmm/devices/console.h"
#include "vmm/devices/uart16550.h"
#include "vmm/l1.h"
#include "vmm/l2.h"
#include "vmm/machine.h"

/* The inside of a machine, for src/vmm. */

#define MACHINE_MAX_L1_VCPUS 2
/* Memory of the root's own, for overlays: taken from the host when it is used. */
#define MACHINE_ROOT_PAGES 4096U
/* Consoles and reports of L2s that are gone stay; this many L2s may be created in all. */
#define MACHINE_MAX_REPORTS (4 * MEZZ_MAX_L2)
#define LAST_WORDS_SIZE     4096

/* One per name of an L2 that ever was, and one per L2 of the stack file from the start. L2s that
 * take each other's place under one name add up. */
struct l2_record {
    struct l2_report report;
    char name[MEZZ_NAME_SIZE];
    struct console console;
    struct machine *machine;
    enum engine_kind engine; /* that the stack wants; ENGINE_KINDS: none in particular */
    unsigned int source;     /* of machine_config.console */
    const struct portion_table *portions; /* of machine_config */
    const struct guard_config *guard;     /* the same */
    bool in_use;                          /* an L2 of this name exists */
    uint64_t run_tsc;                     /* of vCPUs that are gone */
    struct callback_report *callbacks;    /* report.callback_count of them */
    char last_words[LAST_WORDS_SIZE];
};

struct machine {
    /* What every exit looks at. */
    unsigned int l1_count;
    bool ended; /* what `report` says is final; threads leave at the next step */
    FILE *trace;
    struct event_log *log;

    struct kvm kvm;
    struct memory memory;
    struct l1_memory l1_memory;
    struct root_pages root_pages; /* behind L1's and the firmware's */
    struct kvm_vm l1_vm;
    struct kvm_cpuid2 *l1_cpuid;
    struct kvm_cpuid2 *l2_cpuid;

    /* Held by a vCPU thread in root mode; what follows belongs to it. */
    pthread_mutex_t lock;
    /* An L1 vCPU started, a thread is in the cage, an L2's turn or a handler is over, or the
     * machine ended. */
    pthread_cond_t changed;
    struct l1_vcpu *l1[MACHINE_MAX_L1_VCPUS];
    struct l2 *l2[MEZZ_MAX_L2];
    struct l2_vcpu *vcpu[MEZZ_MAX_L2_VCPUS];
    struct callback *callback[MEZZ_MAX_CALLBACKS];
    struct host_traits host; /* what KVM does here, once an L2 needs to know */
    bool host_is_known;
    struct uart16550 uart;
    struct console l1_console;
    struct l2_record *record[MACHINE_MAX_REPORTS];
    unsigned int record_count;
    struct cage *cage;
    unsigned int caged; /* threads that are in it */
    struct machine_report report;
    struct l2_report *l2_reports; /* what report.l2 points to: room for each record */
    char last_words[LAST_WORDS_SIZE];

    atomic_int stop_signal; /* machine_stop */
    uint64_t started_at;    /* CLOCK_MONOTONIC in ns */
    uint64_t started_tsc;
    uint64_t process_started_at; /* CLOCK_MONOTONIC in ns */
    uint64_t timeout;            /* of the run, in ns */
    uint64_t deadline;           /* machine time in ns */
    uint64_t callback_timeout;
    void (*console)(void *context, unsigned int source, const char *name, const char *text,
                    size_t length);
    void *console_context;
    const struct guard_listener *listener; /* or NULL */
};

/* Around a KVM_RUN or a wait: lets the threads of other L1 vCPUs into root mode. One vCPU alone
 * keeps the lock, which costs it nothing then. */
static inline void machine_leave_root(struct machine *machine)
{
    if (machine->l1_count > 1)
        pthread_mutex_unlock(&machine->lock);
}

static inline void machine_enter_root(struct machine *machine)
{
    if (machine->l1_count > 1)
        pthread_mutex_lock(&machine->lock);
}

/* Nanoseconds since machine_create. */
uint64_t machine_time(const struct machine *machine);

/* Ends the machine; the first call counts. format: the report's error line, or NULL. */
void machine_end(struct machine *machine, enum machine_end end, const char *format, ...)
    __attribute__((cold, format(printf, 3, 4)));

/* The host failed, and L1 hears of it as MEZZ_E_HOST: the first time counts. */
void machine_note_trouble(struct machine *machine, const char *format, ...)
    __attribute__((cold, format(printf, 2, 3)));

/* An L2 has written to its console: the first time counts. */
void machine_note_l2_output(struct machine *machine);

/* The record of this name, which no L2 uses now, or a new one. 0; MEZZ_E_LIMIT: there are
 * MACHINE_MAX_REPORTS; MEZZ_E_HOST: no memory. */
int machine_record(struct machine *machine, const char *name, struct l2_record **found);

#endif
