/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OBJECTS_H
#define OBJECTS_H

#include <stdbool.h>

#include "kit.h"

#define OBJECTS_PAGES     20 /* more than the records of one delivery */
#define OBJECTS_PAGES_AT  0x21000000
#define OBJECTS_CALLBACKS 3

/* What an L2 does that the root carries out, and how L1 set it up. */
struct scenario {
    const char *name;
    const void *code;
    enum kit_mode mode;
    uint64_t page_flags; /* of the leaves at OBJECTS_PAGES_AT; 0: none are mapped */
    uint64_t eptp_flags;
    uint32_t exit_controls;
    uint32_t preemption_timer; /* microseconds, or 0 */
    uint32_t cpu_based;
    uint32_t observed[OBJECTS_CALLBACKS]; /* exit reasons; 0: none */
};

/* NULL when there is none of this name. */
const struct scenario *scenario_find(const char *name);

#endif
