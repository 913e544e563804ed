/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_TRACE_H
#define VMM_TRACE_H

#include "host/hot.h"
#include "vmm/machine_state.h"

/*
 * Why (not): the decision for each L2 exit as a line of JSON in machine_config.trace:
 *   {"t": ns, "l2": name, "vcpu": number, "exit": count, "reason": name, "qualification": "0x...",
 *    "decision": "root" | "callback" | "reflect" | "condition", "callback": number, "condition":
 * index} "condition" lines come before the decision: a callback that did not fire, and the first
 * condition that did not hold. Nothing but a test of a pointer when there is no trace.
 */
enum trace_decision {
    TRACE_ROOT,
    TRACE_CALLBACK, /* the handler `callback` was asked */
    TRACE_REFLECT,
    TRACE_CONDITION /* `callback` did not fire: `condition` */
};

COLD void trace_line(const struct l2_vcpu *vcpu, enum trace_decision decision, uint32_t callback,
                     int condition);

static inline void trace_write(const struct l2_vcpu *vcpu, enum trace_decision decision,
                               uint32_t callback, int condition)
{
    if (vcpu->l2->machine->trace != NULL)
        trace_line(vcpu, decision, callback, condition);
}

#endif
