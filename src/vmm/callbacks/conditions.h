/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CONDITIONS_H
#define VMM_CONDITIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "mezz/callback.h"
#include "mezz/exit.h"

/* Trigger conditions: pure functions of an exit and of the registration's own history. */

/* What the conditions of a registration look at, by enum mezz_condition_field. Only what
 * condition_needs() names has to be filled. */
struct condition_inputs {
    uint64_t field[MEZZ_FIELD_END];
};

struct condition_history {
    uint64_t since_firing; /* exits of the reason since the last firing */
    uint64_t fired_at;     /* ns of machine time: of the last firing, or of the registration */
};

/* 0, or the mezz_error of the first thing that is wrong with condition number i of the
 * registration. reason: a valid exit reason. */
int conditions_check(const struct mezz_callback_registration *registration);

/* The fields that the conditions use: bit f for field f. */
uint64_t conditions_needs(const struct mezz_callback_registration *registration);

/* The index of the first condition that does not hold, or -1: all hold. At most MEZZ_MAX_CONDITIONS
 * steps. */
int conditions_evaluate(const struct mezz_callback_registration *registration,
                        const struct condition_inputs *inputs);

#endif
