/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAGE_CAGE_H
#define CAGE_CAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/error.h"

/*
 * The cage: what a process may still do once it runs guests. Made for one that runs a machine and
 * does nothing else, so that whoever takes it over from inside of a guest finds little to work
 * with:
 *
 *   - no capability, in none of the sets, and none to be had by running a program (no_new_privs);
 *   - no file, no network, no signal to others: Landlock, where the kernel has it. Files that are
 *     open stay open;
 *   - no core dump: nobody but root looks into it, debuggers neither;
 *   - per thread, a list of system calls with what their arguments may be (filters.c). A call that
 *     is not on it is not carried out, and the kernel ends the process by SIGSYS. No code of the
 *     process has a part in that: it may be somebody else's by then.
 *
 * None of it can be taken back. docs/security.md tells the user.
 */
struct cage;

/* Kinds of threads. */
enum cage_thread {
    CAGE_MAIN, /* waits for the others, and reports */
    CAGE_VCPU, /* runs guests */
    CAGE_THREADS
};

struct cage_config {
    const int *outputs; /* files that may be written to */
    size_t output_count;
};

/* What a cage holds, once the process is in it. Sent between processes: no pointer, no bool. */
struct cage_facts {
    uint8_t on;
    uint8_t no_new_privs;
    uint8_t no_capabilities;
    uint8_t filtered;      /* threads that are under a filter */
    uint32_t landlock_abi; /* 0: this kernel has none */
};

/* -ENODEV: it cannot be had here, and why. */
int cage_create(struct cage **cage, const struct cage_config *config, struct error *error);

/* Drops what the whole process is to do without; for a process of one thread, whose threads are
 * born into it. -ENODEV and why. */
int cage_close(struct cage *cage, struct error *error);

/* Puts the calling thread under its filter. After cage_close; one thread at a time. */
int cage_enter(struct cage *cage, enum cage_thread kind, struct error *error);

/* cage: NULL for a process without one. */
struct cage_facts cage_facts(const struct cage *cage);

/* Only for a cage that was never closed. */
void cage_destroy(struct cage *cage);

/* The i-th system call that a thread of this kind may use; NULL behind the last. */
const char *cage_call_name(enum cage_thread kind, size_t i);

/* What this kernel offers. */
struct cage_offer {
    unsigned int landlock_abi; /* 0: none */
    bool filters;
};

struct cage_offer cage_offer(void);

#endif
