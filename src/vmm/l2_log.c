/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/l2_log.h"

#include "host/hot.h"
#include "vmm/machine_state.h"

bool l2_log(struct l2 *l2, struct log_event *event, bool refused)
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

COLD void l2_log_view(struct l2_vcpu *vcpu, const struct l2_view_event *what)
{
    const struct log_field more[] = {{"index", NULL, what->to}};
    struct log_event event = {
        .level = what->level,
        .from = what->from,
        .to = what->refused ? what->from : (uint32_t)what->to,
        .rip = what->rip,
        .reason = what->reason,
        .verdict = what->refused ? "exit" : "switch",
        .more = more,
        .more_count = 1,
    };

    /* What the log cannot take it counts itself. */
    (void)l2_log(vcpu->l2, &event, what->refused);
}
