/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_L1_H
#define BENCH_L1_H

#include <stdbool.h>
#include <stdint.h>

#include "mezz/vmcs12.h"

#define BENCH_MAX_L2 16U

/* How an exit is dealt with: words of the command line. */
enum bench_path {
    PATH_ROOT,     /* the root handles it */
    PATH_GATE,     /* the same: the store is one to the gate, and the view another one each time */
    PATH_FAILED,   /* the same, and an observing callback's last condition does not hold */
    PATH_CALLBACK, /* an empty handler resumes */
    PATH_TURNS,    /* of three exits, two go to the handler, and one is reflected: the next L2 */
    PATH_REFLECT,  /* L1 enters again at once: the next L2, if there are several */
    PATH_CLASSIC   /* the same, and every VMCS12 access is a call */
};

struct bench_setup {
    enum bench_path path;
    bool memory; /* the exit is an EPT violation, otherwise I/O */
    bool stays;  /* the handler waits behind its return: MEZZ_RETURN_STAY */
    unsigned int l2s;
    unsigned int conditions;
};

void setup_parse(struct bench_setup *setup, const char *line);

/* Ends the machine with a word about what went wrong. */
_Noreturn void give_up(const char *what);

/* Builds the EPT12 that all L2s share; its EPTP. */
uint64_t guest_memory_build(void);
/* Gives the L2 that view and one that differs from it in one page. */
void guest_add_views(uint64_t l2, uint64_t eptp);
void guest_fill(struct mezz_vmcs12 *vmcs, const struct bench_setup *setup, uint64_t eptp);

void callback_add(uint64_t l2, unsigned int index, const struct bench_setup *setup);

/* Every access of one exit and one entry, by calls. */
void classic_exit_and_entry(uint64_t vcpu);

#endif
