/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CLI_PATIENT_H
#define VMM_CLI_PATIENT_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

/*
 * A stream whose reader may have stopped reading, as a pager does. Levels write from threads that
 * run guests: one of them that waits for a reader would make deadlines and signals wait, too. So a
 * write waits until it is possible, the time is over or a signal wants the run to end; then it
 * fails, as all later ones do.
 */
struct patience {
    int fd;
    int error;                   /* errno of the first write that failed; 0 */
    _Atomic uint64_t give_up_at; /* CLOCK_MONOTONIC in ns; UINT64_MAX: never */
    void (*closed)(void);        /* the reader has gone (EPIPE); or NULL. Called once */
};

/* NULL: no memory. fclose leaves the descriptor open. */
FILE *patient_open(struct patience *patience, int fd);

/* A write failed, here or in another process that has the stream; 0: none did. */
void patient_fail(struct patience *patience, int error);

#endif
