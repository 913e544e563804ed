/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CLI_SHOW_H
#define VMM_CLI_SHOW_H

#include <stdbool.h>

#include "vmm/cli/cli_terminal.h"
#include "vmm/stack/script.h"

/* What people see of a run when it is over: the last words of who died, the table (neither of a
 * quiet run, unless verbose), and on stderr one line for each death that the stack file (file) did
 * not ask for. */
void show_run(struct terminal *terminal, const char *file, const struct script_run *run,
              bool verbose);

/* How many expectations held; with verbose, all of them. */
void show_expectations(struct terminal *terminal, const struct script_record *record, bool verbose);

#endif
