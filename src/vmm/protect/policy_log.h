/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PROTECT_POLICY_LOG_H
#define VMM_PROTECT_POLICY_LOG_H

#include <stdbool.h>

#include "hookguard/log/event_log.h"

struct l2;

/* Appends an event of a policy to the machine's log, if it has one, with the time and the L2's
 * name. What is refused is written at once. False: the log does not have it. */
bool policy_log(struct l2 *l2, struct log_event *event, bool refused);

#endif
