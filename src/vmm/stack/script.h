/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_SCRIPT_H
#define VMM_SCRIPT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/error.h"
#include "vmm/machine.h"
#include "vmm/report.h"

/*
 * A stack file: Lua 5.4 in a cage (no io, os, debug, package; bounded memory, instructions and
 * time), which describes machines, runs them one at a time and says what it expects of them.
 * docs/stacks.md is what its author reads.
 */
struct script;

struct script_limits {
    size_t memory;         /* bytes of Lua objects */
    uint64_t instructions; /* of Lua, at a stretch: until stack:run, from there on, in a handler */
    uint64_t time_ns;      /* the same for time */
    uint64_t library_ns;   /* one library call that is still not back this long after time_ns ends
                              the process: nothing gentler can interrupt it */
    size_t output;         /* bytes of print */
    unsigned int runs;     /* machines in one file */
    unsigned int expectations; /* calls of mezz.expect */
};

extern const struct script_limits script_default_limits;

#define RUN_TITLE_LIMIT 63U

struct script_run {
    struct machine_report report;
    unsigned int line;               /* of stack:run */
    bool may_die;                    /* the stack says that a death is what it is about */
    bool quiet;                      /* what levels write and the table are not for people to see */
    char title[RUN_TITLE_LIMIT + 1]; /* "": none */
};

/* What the script reaches of the world outside; a test puts its own here. */
struct script_host {
    void *context;
    /* Runs a machine to its end. 0, and run->report, which the script owns from now on
     * (report_release); a negative errno value and a message when there is no machine. The rest of
     * *run is filled before. */
    int (*run)(void *context, const struct machine_config *config, struct script_run *run,
               struct error *error);
    void (*print)(void *context, const char *text, size_t length);
    void (*failed)(void *context, unsigned int line, const char *what);
};

struct script_config {
    const char *path;               /* of the stack file, as messages shall name it */
    const char *const *directories; /* searched for images after the stack file's own; NULL ends */
    const struct script_limits *limits; /* NULL: script_default_limits */
    const struct script_host *host;
    const volatile sig_atomic_t *interrupted; /* a signal's number: the script ends soon; NULL:
                                                 none, ever */
};

struct script_expectation {
    char *text;
    unsigned int line;
    bool passed;
};

struct json_t;

/* What a script leaves. */
struct script_record {
    const char *path;
    struct script_run *runs;
    size_t run_count;
    struct script_expectation *expectations;
    size_t expectation_count;
    size_t failed;
    struct json_t *rows; /* of mezz.row: an array, or NULL */
};

/* The configuration and what it points to live as long as the script. -ENOMEM with a message. */
int script_create(struct script **script, const struct script_config *config, struct error *error);

/* Runs the file to its end: 0, or a negative errno value with "FILE:LINE: what is wrong". -EINVAL:
 * the file's mistake, or what reading an image or the file itself said; -EINTR: interrupted;
 * -ENODEV and others of the host: the host cannot. The record is whole in every case. May be called
 * once. */
int script_execute(struct script *script, struct error *error);

const struct script_record *script_record(const struct script *script);

void script_destroy(struct script *script);

#endif
