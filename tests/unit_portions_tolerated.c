/* SPDX-License-Identifier: Apache-2.0 */
/* The guard where a refusal is tolerated: nothing else is. */

#include <string.h>

#include "portions_world.h"
#include "runner.h"
#include "unit_portions_builder.h"

#define STACK_FRAME 10U

/* Matches the code of the program, whatever it is. */
#define ANY_CODE "rule any_code { condition: true }"

static void write_return(uint64_t address)
{
    memcpy(world_frame[STACK_FRAME], &address, sizeof(address));
}

/* Let in in spite of this, and interrupted. */
static void enter_and_leave(enum decision_reason reason)
{
    world_map(0x1000, STACK, STACK_FRAME);
    write_return(MAIN);
    world_fetch(SIGN, VERDICT_SWITCH, reason);
    ck_assert(outcome.decision.refused);
    world_interrupt(MIDDLE, true, REASON_INTERRUPT);
}

START_TEST(return_address_after_other_data)
{
    world_setup();
    world_tolerate(REASON_DATA_DIFFERS);
    world_frame[3][5] = 1;
    enter_and_leave(REASON_DATA_DIFFERS);
    write_return(MIDDLE);
    world_go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_RETURN_ADDRESS);
    write_return(MAIN);
    world_go_back(MIDDLE, STACK - 64, VERDICT_SWITCH, REASON_RESUME_POINT);
    world_map(0x1000, STACK, 0);
    world_finish();
}
END_TEST

START_TEST(resumed_with_a_pattern)
{
    world_setup_rules(ANY_CODE, REFUSAL_KILL);
    world_tolerate(REASON_PATTERN);
    enter_and_leave(REASON_PATTERN);
    ck_assert_str_eq(outcome.rule != NULL ? outcome.rule : "", "");
    world_go_back(MIDDLE, STACK - 64, VERDICT_SWITCH, REASON_PATTERN);
    ck_assert(outcome.restore);
    ck_assert_uint_eq(outcome.registers.gpr[2], 3);
    ck_assert_uint_eq(vcpu.call, 1);
    /* Once, as without. */
    world_interrupt(MIDDLE + 4, true, REASON_INTERRUPT);
    world_go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_NOT_ENTRY);
    write_return(MIDDLE);
    world_go_back(MIDDLE + 4, STACK - 64, VERDICT_KILL, REASON_RETURN_ADDRESS);
    world_map(0x1000, STACK, 0);
    world_finish();
}
END_TEST

START_TEST(pattern_and_other_data)
{
    struct portion_guard_access access;
    struct portion_guard_event event;

    world_setup_rules(ANY_CODE, REFUSAL_KILL);
    world_tolerate(REASON_PATTERN);
    world_frame[3][5] = 1;
    world_fetch(SIGN, VERDICT_KILL, REASON_DATA_DIFFERS);
    ck_assert_uint_eq(vcpu.view, 0);
    /* Who tolerates both has both in the log. */
    world_tolerate(REASON_DATA_DIFFERS);
    access = world_access(ACCESS_FETCH, 0x1000, SIGN);
    world_judge(&access, VERDICT_SWITCH, REASON_DATA_DIFFERS);
    portion_guard_describe(guard, &access, &outcome, &event);
    ck_assert_str_eq(event.more[7].name, "also");
    ck_assert_str_eq(event.more[7].text, "pattern");
    ck_assert_uint_eq(event.event.more_count, 8);
    world_finish();
}
END_TEST

/* L1 said yes to what it was asked about. */
START_TEST(allowed_by_l1)
{
    struct portion_guard_access access;
    struct portion_guard_event event;

    world_setup();
    access = world_access(ACCESS_FETCH, 0x1000, MIDDLE);
    world_frame[3][5] = 1;
    world_judge(&access, VERDICT_KILL, REASON_NOT_ENTRY);
    access.asked = true;
    access.allowed = 1ULL << REASON_NOT_ENTRY;
    world_judge(&access, VERDICT_KILL, REASON_DATA_DIFFERS);
    portion_guard_describe(guard, &access, &outcome, &event);
    ck_assert_str_eq(event.more[6].text, "stack");
    world_frame[3][5] = 0;
    world_judge(&access, VERDICT_SWITCH, REASON_NOT_ENTRY);
    portion_guard_describe(guard, &access, &outcome, &event);
    ck_assert_str_eq(event.more[6].text, "l1");
    world_finish();
}
END_TEST

RUN_CASES("portions_tolerated", 60, ONCE(return_address_after_other_data),
          ONCE(resumed_with_a_pattern), ONCE(pattern_and_other_data), ONCE(allowed_by_l1))
