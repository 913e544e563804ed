/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CLI_TERMINAL_H
#define VMM_CLI_TERMINAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/cli/cli_patient.h"

/*
 * Where people read: lines of the levels' consoles, each behind its level's name and, on a
 * terminal, in its level's colour. Bytes that could play with a terminal are shown as \xNN.
 */
#define TERMINAL_SOURCES 256U        /* more L2s than that share the last one's place */
#define TERMINAL_CAP     (1UL << 20) /* bytes of one level that are shown in one run */

struct terminal {
    FILE *out; /* the patient one */
    struct patience patience;
    bool colours;
    bool live;            /* a line can be taken back: a terminal */
    bool silent;          /* in this run levels are not shown */
    bool progress;        /* a line that is to be taken back is there */
    int width;            /* of the names in front */
    pthread_mutex_t lock; /* levels write from threads of their own */
    unsigned int open;    /* the source whose line is not ended yet, plus 1; 0: none */
    size_t shown[TERMINAL_SOURCES];
};

enum {
    TERMINAL_L1 = 0
};

/* On a descriptor, which stays open. -ENOMEM. */
int terminal_init(struct terminal *terminal, int fd, bool colours, bool live);
void terminal_destroy(struct terminal *terminal);

/* A new run: nothing was shown yet. longest: the longest name that will come. While it lasts, a
 * reader is waited for no longer than until give_up_at (CLOCK_MONOTONIC in ns). */
void terminal_begin(struct terminal *terminal, size_t longest, uint64_t give_up_at);
/* A new run of which nothing is shown but, on a terminal and as long as it lasts, its title. */
void terminal_begin_silent(struct terminal *terminal, const char *title, uint64_t give_up_at);
void terminal_end(struct terminal *terminal);

/* machine_config.console: source 0 is L1, others are L2s, of that name. */
void terminal_write(void *context, unsigned int source, const char *name, const char *text,
                    size_t length);

/* A line of the stack file's own. */
void terminal_print(void *context, const char *text, size_t length);

/* Ends a line that is still open, and writes out what is there. */
void terminal_end_line(struct terminal *terminal);

#endif
