/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CLI_CAGED_H
#define VMM_CLI_CAGED_H

#include <stdio.h>

#include "vmm/cli/cli_terminal.h"
#include "vmm/machine.h"

/*
 * A machine in a process of its own, which builds it, locks itself into the cage (cage/cage.h),
 * runs the machine and sends the report. This process stays outside: it opens and writes files,
 * runs the stack file, and takes nothing from guests but the report, which it checks.
 */
struct caged_run {
    const struct machine_config *config;
    struct terminal *terminal; /* its patience has the error when the process could not write */
    struct patience *trace;    /* the same for config->trace; NULL: there is none */
    /* For what is done before and after the time that the machine has; 0: 30 s. A process that
     * takes longer is one that does not end any more. */
    unsigned int spare_ms;
    int signal_number; /* that ended the process; SIGSYS: the cage did; 0: none */
    bool abandoned;    /* config->log is as the process left it, and cannot be closed */
};

/* 0 and a report to report_release(), or a negative errno and a message: what machine_create says;
 * -ECHILD when the process ended without a report, and signal_number says by what; or -ECOMM when
 * its report or an event did not get through. */
int caged_run(struct caged_run *run, struct machine_report *report, struct error *error);

#endif
