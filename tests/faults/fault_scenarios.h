/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAULTS_FAULT_SCENARIOS_H
#define TESTS_FAULTS_FAULT_SCENARIOS_H

#include <stdbool.h>
#include <stddef.h>

#include "inject.h"

/* Which calls fail, and what may come of it, 1 << exit status. 0 is always possible: one can do
 * without some things. */
struct fault_kind {
    enum inject_kind kind;
    int code;           /* errno */
    unsigned int count; /* of calls that fail, one after the other */
    unsigned int statuses;
};

/* What mezz is to do while calls of the host fail. */
struct fault_scenario {
    const char *name;
    const char *stack; /* t.lua; NULL: there is none */
    const char *json;  /* the file that is written */
    const char *whole; /* stdout has this when the status is 0 */
    /* Call paths that this one has too are tried there; or NULL. */
    const struct fault_scenario *plain;
    bool waits;            /* one vCPU of its L1 for the other, which may have had the fault */
    const char *words[12]; /* behind the program's name; NULL ends */
    const struct fault_kind *kinds;
    size_t kind_count;
};

extern const struct fault_scenario *const fault_scenarios[];
extern const size_t fault_scenario_count;

/* A file that stacks name. */
#define FAULT_RULES      "one.yar"
#define FAULT_RULES_TEXT "rule never { strings: $a = \"nobody has this\" condition: $a }\n"

#endif
