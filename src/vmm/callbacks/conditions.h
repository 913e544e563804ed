/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CONDITIONS_H
#define VMM_CONDITIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "mezz/callback.h"
#include "mezz/exit.h"

/* Trigger conditions: pure functions of an exit and of the registration's own history. */

/* Where the value of a field comes from. It is asked for when its condition has its turn: one that
 * does not hold saves the cost of those behind it. */
typedef uint64_t condition_source(void *context, unsigned int field);

struct condition_history {
    uint64_t since_firing; /* exits of the reason since the last firing */
    uint64_t fired_at;     /* ns of machine time: of the last firing, or of the registration */
};

/* 0, or the mezz_error of the first thing that is wrong with condition number i of the
 * registration. reason: a valid exit reason. */
int conditions_check(const struct mezz_callback_registration *registration);

/* The fields that the conditions use: bit f for field f. */
uint64_t conditions_needs(const struct mezz_callback_registration *registration);

bool condition_holds(const struct mezz_condition *condition, uint64_t value);

/* The index of the first condition that does not hold, or -1: all hold. At most MEZZ_MAX_CONDITIONS
 * steps. */
static inline int conditions_evaluate(const struct mezz_callback_registration *registration,
                                      condition_source *value, void *context)
{
    for (uint32_t i = 0; i < registration->condition_count; i++) {
        const struct mezz_condition *condition = &registration->condition[i];

        if (!condition_holds(condition, value(context, condition->field)))
            return (int)i;
    }
    return -1;
}

#endif
