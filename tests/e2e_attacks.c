/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix of attacks on guarded functions: each with all defences, with the one that is against
 * it alone, and with all but that one. */
#include <stdlib.h>
#include <string.h>

#include "mezz_process.h"
#include "runner.h"

START_TEST(matrix)
{
    struct mezz_process mezz;
    unsigned int both = 0;
    unsigned int natural = 0;
    unsigned int detected = 0;
    const json_t *rows;
    const json_t *row;
    json_t *json;
    size_t i;

    mezz_begin(&mezz);
    json = mezz_run_stack(&mezz, "attacks.lua");
    rows = mezz_at(json, "rows");
    ck_assert_uint_ge(json_array_size(rows), 54);
    json_array_foreach(rows, i, row)
    {
        const char *with = json_string_value(mezz_at(row, "with"));
        const char *without = json_string_value(mezz_at(row, "without"));

        ck_assert_str_ne(json_string_value(mezz_at(row, "id")), "");
        ck_assert_str_ne(json_string_value(mezz_at(row, "name")), "");
        ck_assert_str_ne(json_string_value(mezz_at(row, "reason")), "-");
        natural += strcmp(with, "succeeded") == 0;
        detected += strcmp(with, "detected only") == 0;
        both += strcmp(with, "stopped") == 0 && strcmp(without, "succeeded") == 0;
    }
    ck_assert_uint_ge(both, 37);
    ck_assert_uint_eq(natural, 2);
    ck_assert_uint_eq(detected, 1);
    json_decref(json);
    mezz_end(&mezz, 1);
}
END_TEST

/* Where ring 0 runs natively on shadowed tables a switch makes all translations anew: 4,095 refused
 * jumps take longer there than a test may. */
static const char *obstacle(void)
{
    const char *lane = getenv("MEZZ_LANE");

    if (lane != NULL && strcmp(lane, "vmx-ept0") == 0)
        return "4,095 refused jumps take too long in this lane";
    return mezz_obstacle();
}

RUN_CASES_IF(obstacle, "attacks", 900, ONCE(matrix))
