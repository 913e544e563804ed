/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PROTECT_PORTIONS_POLICY_H
#define VMM_PROTECT_PORTIONS_POLICY_H

struct l2;
struct portion_table;

/*
 * The portions of an L2's programs, as a policy of the L2: docs/portions-policy.md says what they
 * are, hookguard/guard.h judges, views/overlay.h makes pages come and go, and what is here brings
 * them together.
 */

/* Before the L2 first runs. The table outlives it. 0 or a mezz_error. */
int portion_policy_add(struct l2 *l2, const struct portion_table *table);

#endif
