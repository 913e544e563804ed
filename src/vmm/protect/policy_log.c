/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/protect/policy_log.h"

#include "vmm/machine_state.h"

bool policy_log(struct l2 *l2, struct log_event *event, bool refused)
{
    struct event_log *log = l2->machine->log;

    if (log == NULL)
        return true;
    event->time_ns = machine_time(l2->machine);
    event->l2 = l2->name;
    if (event_log_append(log, event) != 0)
        return false;
    return !refused || event_log_flush(log) == 0;
}
