/* SPDX-License-Identifier: Apache-2.0 */
/* The stacks that show what protects a guest from itself, each once: for lanes in which there is no
 * time for e2e_portions and e2e_hookguard, and none at all for attacks.lua. */
#include "mezz_process.h"
#include "runner.h"

static const char *const stacks[] = {"portions.lua", "hookguard.lua"};

START_TEST(stack)
{
    struct mezz_process mezz;
    json_t *json;

    mezz_begin(&mezz);
    json = mezz_run_stack(&mezz, stacks[_i]);
    mezz_expect(&mezz, 0, "");
    ck_assert_uint_ge(json_array_size(mezz_at(json, "expectations")), 10);
    json_decref(json);
    mezz_end(&mezz, 1);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "protection", 300, EACH(stack, ELEMENTS(stacks)))
