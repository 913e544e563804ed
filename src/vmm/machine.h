/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cage/cage.h"
#include "host/error.h"
#include "mezz/abi.h"
#include "vmm/report.h"

/*
 * A machine: the root's view of one stack. It owns the memory, the VMs, the vCPUs, the devices and
 * the thread that keeps time. machine_create reads the images and builds everything up to the first
 * guest instruction; machine_run runs it to its end; machine_destroy leaves nothing behind.
 */
struct machine;

/* A file that goes into memory as it is: an L2's kernel or one of its modules. */
struct module_config {
    const char *path;
    const char *command_line; /* a module's own; for an L2 program: its name and its arguments */
};

struct guard_config;   /* protect/hooks/policy.h */
struct guard_listener; /* protect/guard_event.h */
struct portion_table;
struct event_log;

struct l2_config {
    const char *name; /* what L1 calls it in MEZZ_CALL_L2_CREATE, and the JSON's key */
    uint64_t memory;  /* bytes, a multiple of 2 MiB */
    struct module_config image;
    const struct module_config *modules;
    unsigned int module_count;
    const char *engine; /* of its views: "flip", "remap", "slots"; NULL: what suits the host */
    const struct portion_table *portions; /* of its programs; NULL: none. Outlives the machine */
    const struct guard_config *guard;     /* of its API; the same. An L2 has one of both at most */
};

struct machine_config {
    const char *kvm_device; /* NULL: /dev/kvm */
    uint64_t memory; /* bytes of the whole machine, a multiple of 2 MiB; 0: L1's and what the root
                        needs */
    uint64_t l1_memory; /* bytes, a multiple of 2 MiB, at most 2 GiB */
    const char *l1_image;
    const char *l1_command_line;
    const char *firmware;  /* path of firmware.bin, or NULL: start at the PVH entry */
    unsigned int l1_vcpus; /* 1 */
    const struct l2_config *l2;
    unsigned int l2_count;
    uint64_t process_started_ns;  /* CLOCK_MONOTONIC, for first_l2_output_ns; 0: machine_create */
    uint64_t timeout_ns;          /* of the whole run; not 0 */
    uint64_t callback_timeout_ns; /* of one callback handler; 0: 1 s */
    /* A cage that the caller closes before machine_run, whose threads enter it before the first
     * guest instruction; NULL: none. The process is of no use afterwards but to report. */
    struct cage *cage;
    struct event_log *log; /* of portions' switches and refusals, or NULL; the caller closes it */
    const struct guard_listener *listener; /* to guards' events, or NULL; outlives the machine */
    FILE *trace; /* decisions for L2 exits (trace.h), or NULL; the caller closes it */
    /* Where a level's console goes while the machine runs; NULL: only into the report. source is 0
     * for L1, otherwise 1 + the index in l2[] (or beyond, for L2s that the stack file does not
     * know). */
    void (*console)(void *context, unsigned int source, const char *name, const char *text,
                    size_t length);
    void *console_context;
};

/* Returns 0 and the machine, or a negative errno value and a message. -ENODEV: the host cannot
 * (exit status 3); -EINVAL and what the file system says: bad input (exit status 2). */
int machine_create(struct machine **machine, const struct machine_config *config,
                   struct error *error);

/* Runs the machine until L1 ends it, it dies or the time is over. Always fills the report, whose
 * strings live as long as the machine. May be called once. */
void machine_run(struct machine *machine, struct machine_report *report);

/* Ends a run from a signal handler or another thread: async-signal-safe. */
void machine_stop(struct machine *machine, int signal_number);

void machine_destroy(struct machine *machine);

#endif
