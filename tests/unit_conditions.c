/* SPDX-License-Identifier: Apache-2.0 */
/* Trigger conditions as truth tables: what a registration may say, and when it holds. */
#include "vmm/callbacks/conditions.h"

#include <string.h>

#include "mezz/errors.h"
#include "runner.h"

/* Written down a second time: exits that have a field (i I/O, e EPT violations, m MSRs, * all),
 * operators that fit it (= EQ, ! NE, < LT, > GE, r IN_RANGE, n NOT_IN_RANGE, & MASK, % EVERY), and
 * the largest operand. */
static const struct {
    const char *reasons;
    const char *operators;
    uint64_t largest;
} fields[MEZZ_FIELD_END] = {
    [MEZZ_FIELD_QUALIFICATION] = {"*", "=!<>rn&", UINT64_MAX},
    [MEZZ_FIELD_GPA] = {"e", "=!<>rn&", UINT64_MAX},
    [MEZZ_FIELD_RIP] = {"*", "=!<>rn&", UINT64_MAX},
    [MEZZ_FIELD_CPL] = {"*", "=!<>rn", 3},
    [MEZZ_FIELD_CR3] = {"*", "=!<>rn&", UINT64_MAX},
    [MEZZ_FIELD_VIEW] = {"*", "=!<>rn", 511},
    [MEZZ_FIELD_PORT] = {"i", "=!<>rn&", 0xffff},
    [MEZZ_FIELD_SIZE] = {"ie", "=!<>rn", 8},
    [MEZZ_FIELD_DIRECTION] = {"iem", "=!", 1},
    [MEZZ_FIELD_VALUE] = {"iem", "=!<>rn&", UINT64_MAX},
    [MEZZ_FIELD_MSR] = {"m", "=!<>rn&", 0xffffffff},
    [MEZZ_FIELD_ACCESS] = {"e", "=!&", 7},
    [MEZZ_FIELD_COUNT] = {"*", "=!<>rn%", UINT64_MAX},
    [MEZZ_FIELD_TIME] = {"*", "<>", UINT64_MAX},
};

static const char operator_sign[MEZZ_OP_END] = {
    [MEZZ_OP_EQ] = '=',   [MEZZ_OP_NE] = '!',       [MEZZ_OP_LT] = '<',
    [MEZZ_OP_GE] = '>',   [MEZZ_OP_IN_RANGE] = 'r', [MEZZ_OP_NOT_IN_RANGE] = 'n',
    [MEZZ_OP_MASK] = '&', [MEZZ_OP_EVERY] = '%',
};

static const struct {
    uint32_t reason;
    char sign;
} reasons[] = {
    {MEZZ_EXIT_IO, 'i'},
    {MEZZ_EXIT_EPT_VIOLATION, 'e'},
    {MEZZ_EXIT_RDMSR, 'm'},
    {MEZZ_EXIT_WRMSR, 'm'},
    {MEZZ_EXIT_HLT, 'o'},
    {MEZZ_EXIT_PREEMPTION_TIMER, 'o'},
    {MEZZ_EXIT_TRIPLE_FAULT, 'o'},
    {MEZZ_EXIT_INTERRUPT_WINDOW, 'o'},
    {MEZZ_EXIT_EXTERNAL_INTERRUPT, 'o'},
    {MEZZ_EXIT_EMULATION_FAILURE, 'o'},
};

/* The verdict on one condition, at place n of as many as are needed before it. */
static int check_at(uint32_t n, uint32_t reason, struct mezz_condition condition)
{
    struct mezz_callback_registration r = {.reason = reason, .condition_count = n + 1};

    for (uint32_t i = 0; i < n; i++)
        r.condition[i] = (struct mezz_condition){.field = MEZZ_FIELD_RIP, .op = MEZZ_OP_NE};
    r.condition[n] = condition;
    return conditions_check(&r);
}

static int check(uint32_t reason, uint16_t field, uint16_t op, uint64_t a, uint64_t b)
{
    return check_at(0, reason, (struct mezz_condition){.field = field, .op = op, .a = a, .b = b});
}

static bool reason_has(uint16_t field, char sign)
{
    return strchr(fields[field].reasons, '*') != NULL ||
           strchr(fields[field].reasons, sign) != NULL;
}

/* All fields, known and not, with all operators, for one reason. */
START_TEST(fields_and_operators)
{
    for (uint16_t field = 0; field < MEZZ_FIELD_END + 3; field++) {
        for (uint16_t op = 0; op < MEZZ_OP_END + 3; op++) {
            int expected = 0;

            if (field == 0 || field >= MEZZ_FIELD_END || !reason_has(field, reasons[_i].sign))
                expected = MEZZ_E_CONDITION_FIELD;
            else if (op == 0 || op >= MEZZ_OP_END ||
                     strchr(fields[field].operators, operator_sign[op]) == NULL)
                expected = MEZZ_E_CONDITION_OPERATOR;
            ck_assert_msg(check(reasons[_i].reason, field, op, 1,
                                op == MEZZ_OP_MASK || op == MEZZ_OP_IN_RANGE ||
                                    op == MEZZ_OP_NOT_IN_RANGE) == expected,
                          "reason %u, field %u, operator %u", reasons[_i].reason, field, op);
        }
    }
    ck_assert_int_eq(check(reasons[_i].reason, UINT16_MAX, MEZZ_OP_EQ, 1, 0),
                     MEZZ_E_CONDITION_FIELD);
    ck_assert_int_eq(check(reasons[_i].reason, MEZZ_FIELD_RIP, UINT16_MAX, 1, 0),
                     MEZZ_E_CONDITION_OPERATOR);
}
END_TEST

static uint32_t reason_with(uint16_t field)
{
    for (size_t i = 0; i < ELEMENTS(reasons); i++)
        if (reason_has(field, reasons[i].sign))
            return reasons[i].reason;
    return 0;
}

/* Operands at and past the largest value of each field, with each operator that fits. */
START_TEST(largest_operands)
{
    for (uint16_t field = 1; field < MEZZ_FIELD_END; field++) {
        uint32_t reason = reason_with(field);
        uint64_t largest = fields[field].largest;

        for (uint16_t op = 1; op < MEZZ_OP_END; op++) {
            bool two = strchr("rn&", operator_sign[op]) != NULL;

            if (strchr(fields[field].operators, operator_sign[op]) == NULL)
                continue;
            ck_assert_int_eq(check(reason, field, op, largest, two ? largest : 0), 0);
            if (largest == UINT64_MAX)
                continue;
            ck_assert_int_eq(check(reason, field, op, largest + 1, 0), MEZZ_E_CONDITION_VALUE);
            if (two)
                ck_assert_int_eq(check(reason, field, op, largest, largest + 1),
                                 MEZZ_E_CONDITION_VALUE);
        }
    }
}
END_TEST

START_TEST(second_operand)
{
    static const uint16_t alone[] = {MEZZ_OP_EQ, MEZZ_OP_NE, MEZZ_OP_LT, MEZZ_OP_GE, MEZZ_OP_EVERY};

    for (size_t i = 0; i < ELEMENTS(alone); i++) {
        ck_assert_int_eq(check(MEZZ_EXIT_IO, MEZZ_FIELD_COUNT, alone[i], 5, 0), 0);
        ck_assert_int_eq(check(MEZZ_EXIT_IO, MEZZ_FIELD_COUNT, alone[i], 5, 1),
                         MEZZ_E_CONDITION_VALUE);
    }
}
END_TEST

START_TEST(ranges_and_masks)
{
    static const uint16_t range[] = {MEZZ_OP_IN_RANGE, MEZZ_OP_NOT_IN_RANGE};

    for (size_t i = 0; i < ELEMENTS(range); i++) {
        ck_assert_int_eq(check(MEZZ_EXIT_IO, MEZZ_FIELD_PORT, range[i], 3, 3), 0);
        ck_assert_int_eq(check(MEZZ_EXIT_IO, MEZZ_FIELD_PORT, range[i], 3, 4), 0);
        ck_assert_int_eq(check(MEZZ_EXIT_IO, MEZZ_FIELD_PORT, range[i], 4, 3),
                         MEZZ_E_CONDITION_VALUE);
    }
    for (uint64_t a = 0; a < 16; a++)
        for (uint64_t b = 0; b < 16; b++)
            ck_assert_int_eq(check(MEZZ_EXIT_IO, MEZZ_FIELD_PORT, MEZZ_OP_MASK, a, b),
                             (b & ~a) != 0 ? MEZZ_E_CONDITION_VALUE : 0);
    ck_assert_int_eq(check(MEZZ_EXIT_IO, MEZZ_FIELD_COUNT, MEZZ_OP_EVERY, 0, 0),
                     MEZZ_E_CONDITION_VALUE);
}
END_TEST

/* The condition at place _i is looked at; one behind the last is not. */
START_TEST(every_place)
{
    struct mezz_condition bad = {.field = 99, .op = MEZZ_OP_EQ};
    struct mezz_condition reserved = {.field = MEZZ_FIELD_RIP, .op = MEZZ_OP_EQ, .reserved = 1};
    struct mezz_callback_registration r = {.reason = MEZZ_EXIT_IO, .condition_count = (uint32_t)_i};

    ck_assert_int_eq(check_at((uint32_t)_i, MEZZ_EXIT_IO, bad), MEZZ_E_CONDITION_FIELD);
    ck_assert_int_eq(check_at((uint32_t)_i, MEZZ_EXIT_IO, reserved), MEZZ_E_ARGUMENT);
    for (int i = 0; i < _i; i++)
        r.condition[i] = (struct mezz_condition){.field = MEZZ_FIELD_RIP, .op = MEZZ_OP_NE};
    r.condition[_i] = bad;
    ck_assert_int_eq(conditions_check(&r), 0);
}
END_TEST

START_TEST(too_many)
{
    struct mezz_callback_registration r = {.reason = MEZZ_EXIT_IO};

    for (uint32_t i = 0; i < MEZZ_MAX_CONDITIONS; i++)
        r.condition[i] = (struct mezz_condition){.field = MEZZ_FIELD_RIP, .op = MEZZ_OP_NE};
    r.condition_count = MEZZ_MAX_CONDITIONS;
    ck_assert_int_eq(conditions_check(&r), 0);
    r.condition_count = MEZZ_MAX_CONDITIONS + 1;
    ck_assert_int_eq(conditions_check(&r), MEZZ_E_CONDITIONS);
    r.condition_count = UINT32_MAX;
    ck_assert_int_eq(conditions_check(&r), MEZZ_E_CONDITIONS);
}
END_TEST

struct source {
    uint64_t value[MEZZ_FIELD_END];
    uint64_t asked; /* bit f: for field f */
};

static uint64_t value_of(void *context, unsigned int field)
{
    struct source *source = context;

    source->asked |= 1ULL << field;
    return source->value[field];
}

static bool holds(uint16_t field, uint16_t op, uint64_t value, uint64_t a, uint64_t b)
{
    const struct mezz_callback_registration r = {
        .reason = reason_with(field),
        .condition_count = 1,
        .condition = {{.field = field, .op = op, .a = a, .b = b}},
    };
    struct source source = {.asked = 0};
    bool held;

    source.value[field] = value;
    held = conditions_evaluate(&r, value_of, &source) == -1;
    /* What the condition does not name must not matter. */
    ck_assert_uint_eq(source.asked, 1ULL << field);
    return held;
}

/* Values around each other, around zero and around the sign bit, which has no meaning here. */
static const uint64_t values[] = {
    0,
    1,
    2,
    3,
    0x7f,
    0x80,
    0xffff,
    0x10000,
    INT64_MAX - 1ULL,
    INT64_MAX,
    INT64_MAX + 1ULL,
    UINT64_MAX - 1,
    UINT64_MAX,
};

START_TEST(one_operand)
{
    uint16_t field = (uint16_t)_i + 1;

    for (size_t v = 0; v < ELEMENTS(values); v++) {
        for (size_t a = 0; a < ELEMENTS(values); a++) {
            /* The values ascend, so their places say what is less. */
            ck_assert_int_eq(holds(field, MEZZ_OP_EQ, values[v], values[a], 0), v == a);
            ck_assert_int_eq(holds(field, MEZZ_OP_NE, values[v], values[a], 0), v != a);
            ck_assert_int_eq(holds(field, MEZZ_OP_LT, values[v], values[a], 0), v < a);
            ck_assert_int_eq(holds(field, MEZZ_OP_GE, values[v], values[a], 0), v >= a);
        }
    }
}
END_TEST

START_TEST(two_operands)
{
    uint16_t field = (uint16_t)_i + 1;

    for (size_t v = 0; v < ELEMENTS(values); v++) {
        for (size_t a = 0; a < ELEMENTS(values); a++) {
            for (size_t b = a; b < ELEMENTS(values); b++) {
                bool inside = v >= a && v <= b;

                ck_assert_int_eq(holds(field, MEZZ_OP_IN_RANGE, values[v], values[a], values[b]),
                                 inside);
                ck_assert_int_eq(
                    holds(field, MEZZ_OP_NOT_IN_RANGE, values[v], values[a], values[b]), !inside);
            }
        }
    }
}
END_TEST

START_TEST(masks)
{
    /*                                              field  a     b */
    ck_assert(holds(MEZZ_FIELD_ACCESS, MEZZ_OP_MASK, 0x0, 0x0, 0x0));
    ck_assert(holds(MEZZ_FIELD_ACCESS, MEZZ_OP_MASK, 0x7, 0x0, 0x0));
    ck_assert(holds(MEZZ_FIELD_ACCESS, MEZZ_OP_MASK, 0x2, 0x2, 0x2));
    ck_assert(holds(MEZZ_FIELD_ACCESS, MEZZ_OP_MASK, 0x3, 0x2, 0x2));
    ck_assert(holds(MEZZ_FIELD_ACCESS, MEZZ_OP_MASK, 0x5, 0x2, 0x0));
    ck_assert(!holds(MEZZ_FIELD_ACCESS, MEZZ_OP_MASK, 0x5, 0x2, 0x2));
    ck_assert(!holds(MEZZ_FIELD_ACCESS, MEZZ_OP_MASK, 0x2, 0x3, 0x1));
    ck_assert(holds(MEZZ_FIELD_RIP, MEZZ_OP_MASK, UINT64_MAX, 1ULL << 63, 1ULL << 63));
    ck_assert(!holds(MEZZ_FIELD_RIP, MEZZ_OP_MASK, INT64_MAX, 1ULL << 63, 1ULL << 63));
}
END_TEST

START_TEST(every)
{
    for (uint64_t n = 1; n < 7; n++)
        for (uint64_t count = 1; count < 50; count++)
            ck_assert_int_eq(holds(MEZZ_FIELD_COUNT, MEZZ_OP_EVERY, count, n, 0), count % n == 0);
    ck_assert(!holds(MEZZ_FIELD_COUNT, MEZZ_OP_EVERY, 5, UINT64_MAX, 0));
}
END_TEST

/* The first that does not hold is told; none: -1; without conditions it holds always. */
START_TEST(the_first_that_fails)
{
    struct mezz_callback_registration r = {.condition_count = MEZZ_MAX_CONDITIONS};
    struct source source = {.value = {[MEZZ_FIELD_PORT] = 0x60}};

    for (unsigned int wrong = 0; wrong < 1U << MEZZ_MAX_CONDITIONS; wrong++) {
        for (unsigned int i = 0; i < MEZZ_MAX_CONDITIONS; i++)
            r.condition[i] = (struct mezz_condition){
                .field = MEZZ_FIELD_PORT, .op = MEZZ_OP_EQ, .a = wrong >> i & 1 ? 0x61 : 0x60};
        ck_assert_int_eq(conditions_evaluate(&r, value_of, &source),
                         wrong == 0 ? -1 : __builtin_ctz(wrong));
    }
    r.condition_count = 0;
    ck_assert_int_eq(conditions_evaluate(&r, value_of, &source), -1);
    ck_assert_uint_eq(conditions_needs(&r), 0);
}
END_TEST

/* A field may cost a KVM_RUN: those behind the first that fails are not asked for. */
START_TEST(nothing_behind_it)
{
    const struct mezz_callback_registration r = {
        .condition_count = 3,
        .condition = {{.field = MEZZ_FIELD_SIZE, .op = MEZZ_OP_EQ, .a = 4},
                      {.field = MEZZ_FIELD_PORT, .op = MEZZ_OP_EQ, .a = 1},
                      {.field = MEZZ_FIELD_RIP, .op = MEZZ_OP_EQ}},
    };
    struct source source = {.value = {[MEZZ_FIELD_SIZE] = 4}};

    ck_assert_int_eq(conditions_evaluate(&r, value_of, &source), 1);
    ck_assert_uint_eq(source.asked, 1U << MEZZ_FIELD_SIZE | 1U << MEZZ_FIELD_PORT);
}
END_TEST

START_TEST(needs)
{
    struct mezz_callback_registration r = {.condition_count = 3};

    r.condition[0].field = MEZZ_FIELD_RIP;
    r.condition[1].field = MEZZ_FIELD_TIME;
    r.condition[2].field = MEZZ_FIELD_RIP;
    r.condition[3].field = MEZZ_FIELD_CR3;
    ck_assert_uint_eq(conditions_needs(&r), 1U << MEZZ_FIELD_RIP | 1U << MEZZ_FIELD_TIME);
}
END_TEST

RUN_CASES("conditions", 30, EACH(fields_and_operators, ELEMENTS(reasons)), ONCE(largest_operands),
          ONCE(second_operand), ONCE(ranges_and_masks), EACH(every_place, MEZZ_MAX_CONDITIONS),
          ONCE(too_many), EACH(one_operand, MEZZ_FIELD_END - 1),
          EACH(two_operands, MEZZ_FIELD_END - 1), ONCE(masks), ONCE(every),
          ONCE(the_first_that_fails), ONCE(nothing_behind_it), ONCE(needs))
