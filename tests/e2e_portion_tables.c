/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel that puts what the processor uses by itself into a portion's pages. */
#include <stdlib.h>
#include <string.h>

#include "portion_stack.h"
#include "runner.h"

static const struct {
    const char *way;
    bool stands_still; /* where the processor walks page tables */
} housings[] = {
    {" 0", true},  {" 1", true}, {" 2", true}, {" 3", true},
    {" 5", false}, {" 6", true}, {" 7", true},
};

/* A kernel that lets what the processor uses by itself lie in the portion's page (enum tiny_table).
 * Hosts differ in what they notice; none of them may leave it at a guest that stands still. */
START_TEST(housing)
{
    const char *lane = getenv("MEZZ_LANE");
    bool answered;
    struct mezz_process mezz;
    json_t *json;

    portion_run_way(&mezz, &(struct portion_run){NULL, "-house", "", true, NULL}, housings[_i].way,
                    NULL);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    /* A page table that KVM itself walks, and does not find, is one that has nothing; where it also
     * pushes what a trap pushes, a stack that it does not find is a double fault. */
    answered = housings[_i].stands_still
                   ? portion_lane_is_host() && mezz_tiny_says(json, "double fault")
                   : mezz_tiny_says(json, "page fault");
    if (!answered)
        ck_assert_int_ge(mezz_count_at(json, "levels.l2.tiny.portions.refused"), 1);
    ck_assert(!mezz_tiny_says(json, "the attack"));
    if (housings[_i].stands_still && lane != NULL && strcmp(lane, "svm") == 0) {
        ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.portions.refusals.table-inside"), 1);
        ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.exits.portion.reflect"), 1);
        ck_assert_str_eq(json_string_value(mezz_at(json, "levels.l2.tiny.status")), "died");
    }
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

/* The IDT is on the last page of all addresses, behind which comes the first one, when the root
 * looks for tables. */
START_TEST(table_at_the_end)
{
    struct mezz_process mezz;
    json_t *json;

    portion_run_way(&mezz, &(struct portion_run){NULL, "-house", "", true, NULL}, " 0 end", NULL);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert(!mezz_tiny_says(json, "the attack"));
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.portions.refused"), 0);
    ck_assert_str_eq(json_string_value(mezz_at(json, "levels.l2.tiny.status")), "died");
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "e2e_portion_tables", 300, EACH(housing, ELEMENTS(housings)),
             ONCE(table_at_the_end))
