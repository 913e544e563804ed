/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_REPORT_JSON_H
#define VMM_REPORT_JSON_H

#include "vmm/stack/script.h"

/* What a run of a stack file leaves for programs: docs/cli.md describes it. */
struct report_facts {
    const struct script_record *record;
    const char *error; /* why the stack file ended early; "" */
    int exit_status;
    const char *kvm;  /* the implementation's name */
    const char *lane; /* NULL: none */
};

/* Text to free(), ended by a new line; NULL: no memory. */
char *report_json(const struct report_facts *facts);

#endif
