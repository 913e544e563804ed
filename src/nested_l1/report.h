/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_REPORT_H
#define L1_REPORT_H

struct l2;

/* One line about the exit that a guest dies of. */
void report_death(const struct l2 *l2, const char *why);

extern const char report_never_woken[];

/* What the exit in the guest's VMCS12 is called. */
const char *report_reason(const struct l2 *l2);

#endif
