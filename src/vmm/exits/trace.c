/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/exits/trace.h"

#include <stdio.h>

static const char *const decisions[] = {
    [TRACE_ROOT] = "root",
    [TRACE_CALLBACK] = "callback",
    [TRACE_REFLECT] = "reflect",
    [TRACE_CONDITION] = "condition",
};

void trace_line(const struct l2_vcpu *vcpu, enum trace_decision decision, uint32_t callback,
                int condition)
{
    const struct machine *machine = vcpu->l2->machine;
    FILE *file = machine->trace;

    /* The name holds printable ASCII without blanks: two of those need an escape in JSON. */
    fprintf(file, "{\"t\": %llu, \"l2\": \"", (unsigned long long)machine_time(machine));
    for (const char *c = vcpu->l2->name; *c != '\0'; c++)
        fprintf(file, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    fprintf(file,
            "\", \"vcpu\": %u, \"exit\": %llu, \"reason\": \"%s\", \"qualification\": \"0x%llx\", "
            "\"decision\": \"%s\"",
            vcpu->id, (unsigned long long)vcpu->exit_count,
            reason_name(vcpu->exit.reason & ~MEZZ_EXIT_ENTRY_FAILED),
            (unsigned long long)vcpu->exit.qualification, decisions[decision]);
    if (decision == TRACE_CALLBACK || decision == TRACE_CONDITION)
        fprintf(file, ", \"callback\": %u", callback);
    if (decision == TRACE_CONDITION)
        fprintf(file, ", \"condition\": %d", condition);
    fputs("}\n", file);
}
