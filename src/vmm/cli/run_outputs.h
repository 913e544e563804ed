/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CLI_RUN_OUTPUTS_H
#define VMM_CLI_RUN_OUTPUTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "hookguard/log/event_log.h"
#include "vmm/cli/cli_patient.h"

/* What a run writes beside its terminal. The report in JSON is written at the end, the trace and
 * the log while the machine runs. */
struct run_outputs {
    const char *json_path; /* as given; NULL: none */
    const char *trace_path;
    const char *log_path;
    FILE *trace; /* NULL: none */
    struct patience trace_patience;
    struct event_log *log; /* NULL: none */
};

/* The descriptor for people: standard error where an output takes the standard one. -1 after it has
 * complained that two want it. */
int run_outputs_terminal(const struct run_outputs *outputs);

/* Before anything runs it is found out what can be written, and that no file is named twice, the
 * stack file among them. CLI_DONE, or after it has complained CLI_BAD_INPUT, CLI_HOST without
 * memory. */
int run_outputs_open(struct run_outputs *outputs, const char *stack_file);

/* The status of the run, or CLI_HOST after it has complained that the trace or the log is not
 * whole. A log's last hash is told on `out`, for whoever wants to keep it elsewhere; `abandoned`:
 * the process that wrote the log died, and it has no end. */
int run_outputs_close(struct run_outputs *outputs, FILE *out, uint64_t run_ns, bool abandoned,
                      int status);

#endif
