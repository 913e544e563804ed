/* SPDX-License-Identifier: Apache-2.0 */
/* What TINY_CALL_STEP (how, from, to, behind) does, and what TINY_CALL_SEEN tells of it. */
#ifndef TINY_ABI_STEPS_H
#define TINY_ABI_STEPS_H

#include <stdint.h>

enum tiny_step {
    TINY_STEP_OFF,
    TINY_STEP_ON,
    TINY_STEP_AS_CALL, /* on, and steps lead where calls do: what comes from [from, to) is one */
    TINY_STEP_OPEN     /* on, and ring 3 may call the vector of steps */
};

/* Of the steps in [from, to) and behind `behind`: all bits that the kernel found set. */
struct tiny_seen {
    uint64_t steps;
    uint64_t registers; /* general ones, but for RSP */
    uint64_t flags;     /* CF, PF, AF, ZF, SF, DF, OF */
};

#endif
