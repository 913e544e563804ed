/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_REPORT_TABLE_H
#define VMM_REPORT_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "vmm/report.h"

/* The short table at the end of a run: each level's exits by reason, and who handled them.
 * detailed: also L1's calls by name. */
void report_table(FILE *out, const struct machine_report *report, bool detailed);

#endif
