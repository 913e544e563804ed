/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_MEZZ_PROCESS_H
#define TESTS_MEZZ_PROCESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

/*
 * Runs the program under test (MEZZ_BIN) in a process group of its own and in a new directory, and
 * looks at everything that it leaves: output, status, files, processes.
 */
struct mezz_process {
    char directory[64];
    char *out;
    char *err;
    int status;             /* exit status, or 1000 + the signal that ended it */
    int interrupt_after_ms; /* SIGINT, so long after mezz takes it; 0: none */
    const char *out_to;     /* stdout goes to this file; "": it is closed; "|": it is a pipe
                               that nobody reads; NULL: to out */
    bool err_closed;        /* stderr is closed */
    struct rlimit limit;    /* of the resource; rlim_max 0: none */
    int resource;
    void (*during)(const struct mezz_process *mezz, pid_t child); /* while it runs; or NULL */
    void *context;                                                /* of `during` */
    const char *environment[8];                                   /* NAME=VALUE; NULL ends */
    bool ignores_interrupt; /* SIGINT is ignored when it starts */
    bool as_nobody;         /* as a user without rights, when the test runs as root */
};

/* Why the end-to-end tests cannot run here, or NULL. For RUN_CASES_IF. */
const char *mezz_obstacle(void);

void mezz_begin(struct mezz_process *mezz);
void mezz_write(const struct mezz_process *mezz, const char *name, const void *bytes,
                size_t length);

/* A file of the directory as a text, to be freed; NULL: it is not there. */
char *mezz_read(const struct mezz_process *mezz, const char *name);

/* In the child, before exec: signals do what they usually do, also where the test was started by a
 * shell that ignores some for its background jobs. */
void mezz_usual_signals(void);

/* argv behind the program's name; NULL ends. */
void mezz_run(struct mezz_process *mezz, const char *const *argv);

/* Writes the text as t.lua and does `mezz run t.lua`. */
void mezz_run_text(struct mezz_process *mezz, const char *text);

/* Runs one of the project's stacks with --json out.json: all its expectations hold. The file,
 * parsed. */
json_t *mezz_run_stack(struct mezz_process *mezz, const char *name);

/* The file out.json, parsed; to json_decref(). */
json_t *mezz_json(const struct mezz_process *mezz);

/* "levels.l2.tiny.console": the member of members; fails the test when it is not there. */
const json_t *mezz_at(const json_t *json, const char *path);

/* The number there. */
long long mezz_count_at(const json_t *json, const char *path);
/* How often `part` is in the text. */
size_t mezz_occurrences(const char *text, const char *part);
/* Whether the console of the L2 "tiny" has the text. */
bool mezz_tiny_says(const json_t *json, const char *text);

/* The directory holds exactly `files` files (-1: as many as there are), and nobody of the process
 * group is left. Removes it. */
void mezz_end(struct mezz_process *mezz, int files);

/* Fails the test, with all of the output, unless status and the whole of stderr are these. */
void mezz_expect(const struct mezz_process *mezz, int status, const char *err);

/* How many lines a text has. */
int mezz_lines(const char *text);

#endif
