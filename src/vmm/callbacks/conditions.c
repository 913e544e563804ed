/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/callbacks/conditions.h"

#include "host/hot.h"
#include "mezz/errors.h"

#define REASON_ANY  0U
#define REASON_IO   (1U << 0)
#define REASON_EPT  (1U << 1)
#define REASON_MSR  (1U << 2)
#define REASON_GATE (1U << 3)
#define ORDERED \
    (bit(MEZZ_OP_LT) | bit(MEZZ_OP_GE) | bit(MEZZ_OP_IN_RANGE) | bit(MEZZ_OP_NOT_IN_RANGE))
#define EQUALITY    (bit(MEZZ_OP_EQ) | bit(MEZZ_OP_NE))
#define bit(number) (1U << (number))

/* Which exits have a field, which operators make sense on it, and the largest value that it can
 * have. */
static const struct field_rule {
    uint32_t reasons;
    uint32_t operators;
    uint64_t largest;
} field_rules[MEZZ_FIELD_END] = {
    [MEZZ_FIELD_QUALIFICATION] = {REASON_ANY, EQUALITY | ORDERED | bit(MEZZ_OP_MASK), UINT64_MAX},
    [MEZZ_FIELD_GPA] = {REASON_EPT, EQUALITY | ORDERED | bit(MEZZ_OP_MASK), UINT64_MAX},
    [MEZZ_FIELD_RIP] = {REASON_ANY, EQUALITY | ORDERED | bit(MEZZ_OP_MASK), UINT64_MAX},
    [MEZZ_FIELD_CPL] = {REASON_ANY, EQUALITY | ORDERED, 3},
    [MEZZ_FIELD_CR3] = {REASON_ANY, EQUALITY | ORDERED | bit(MEZZ_OP_MASK), UINT64_MAX},
    [MEZZ_FIELD_VIEW] = {REASON_ANY, EQUALITY | ORDERED, MEZZ_MAX_VIEWS - 1},
    [MEZZ_FIELD_PORT] = {REASON_IO, EQUALITY | ORDERED | bit(MEZZ_OP_MASK), UINT16_MAX},
    [MEZZ_FIELD_SIZE] = {REASON_IO | REASON_EPT | REASON_GATE, EQUALITY | ORDERED, 8},
    [MEZZ_FIELD_DIRECTION] = {REASON_IO | REASON_EPT | REASON_MSR, EQUALITY, 1},
    [MEZZ_FIELD_VALUE] = {REASON_IO | REASON_EPT | REASON_MSR | REASON_GATE,
                          EQUALITY | ORDERED | bit(MEZZ_OP_MASK), UINT64_MAX},
    [MEZZ_FIELD_MSR] = {REASON_MSR, EQUALITY | ORDERED | bit(MEZZ_OP_MASK), UINT32_MAX},
    [MEZZ_FIELD_ACCESS] = {REASON_EPT, EQUALITY | bit(MEZZ_OP_MASK), 7},
    [MEZZ_FIELD_COUNT] = {REASON_ANY, EQUALITY | ORDERED | bit(MEZZ_OP_EVERY), UINT64_MAX},
    [MEZZ_FIELD_TIME] = {REASON_ANY, bit(MEZZ_OP_LT) | bit(MEZZ_OP_GE), UINT64_MAX},
};

static uint32_t reason_class(uint32_t reason)
{
    switch (reason) {
    case MEZZ_EXIT_IO:
        return REASON_IO;
    case MEZZ_EXIT_EPT_VIOLATION:
        return REASON_EPT;
    case MEZZ_EXIT_RDMSR:
    case MEZZ_EXIT_WRMSR:
        return REASON_MSR;
    case MEZZ_EXIT_GATE:
        return REASON_GATE;
    default:
        return REASON_ANY;
    }
}

static int check_operands(const struct mezz_condition *condition, uint64_t largest)
{
    bool uses_b = condition->op == MEZZ_OP_IN_RANGE || condition->op == MEZZ_OP_NOT_IN_RANGE ||
                  condition->op == MEZZ_OP_MASK;

    if (condition->a > largest || condition->b > largest || (!uses_b && condition->b != 0))
        return MEZZ_E_CONDITION_VALUE;
    if (condition->op == MEZZ_OP_MASK && (condition->b & ~condition->a) != 0)
        return MEZZ_E_CONDITION_VALUE;
    if (condition->op == MEZZ_OP_EVERY && condition->a == 0)
        return MEZZ_E_CONDITION_VALUE;
    if ((condition->op == MEZZ_OP_IN_RANGE || condition->op == MEZZ_OP_NOT_IN_RANGE) &&
        condition->a > condition->b)
        return MEZZ_E_CONDITION_VALUE;
    return 0;
}

static int check_one(const struct mezz_condition *condition, uint32_t reason)
{
    const struct field_rule *rule;

    if (condition->reserved != 0)
        return MEZZ_E_ARGUMENT;
    if (condition->field == 0 || condition->field >= MEZZ_FIELD_END)
        return MEZZ_E_CONDITION_FIELD;
    rule = &field_rules[condition->field];
    if (rule->reasons != REASON_ANY && !(rule->reasons & reason_class(reason)))
        return MEZZ_E_CONDITION_FIELD;
    if (condition->op == 0 || condition->op >= MEZZ_OP_END ||
        !(rule->operators & bit(condition->op)))
        return MEZZ_E_CONDITION_OPERATOR;
    return check_operands(condition, rule->largest);
}

int conditions_check(const struct mezz_callback_registration *registration)
{
    if (registration->condition_count > MEZZ_MAX_CONDITIONS)
        return MEZZ_E_CONDITIONS;
    for (uint32_t i = 0; i < registration->condition_count; i++) {
        int error = check_one(&registration->condition[i], registration->reason);

        if (error != 0)
            return error;
    }
    return 0;
}

uint64_t conditions_needs(const struct mezz_callback_registration *registration)
{
    uint64_t needs = 0;

    for (uint32_t i = 0; i < registration->condition_count; i++)
        needs |= 1ULL << registration->condition[i].field;
    return needs;
}

HOT bool condition_holds(const struct mezz_condition *condition, uint64_t value)
{
    switch ((enum mezz_condition_operator)condition->op) {
    case MEZZ_OP_EQ:
        return value == condition->a;
    case MEZZ_OP_NE:
        return value != condition->a;
    case MEZZ_OP_LT:
        return value < condition->a;
    case MEZZ_OP_GE:
        return value >= condition->a;
    case MEZZ_OP_IN_RANGE:
        return condition->a <= value && value <= condition->b;
    case MEZZ_OP_NOT_IN_RANGE:
        return value < condition->a || condition->b < value;
    case MEZZ_OP_MASK:
        return (value & condition->a) == condition->b;
    case MEZZ_OP_EVERY:
        return value % condition->a == 0;
    case MEZZ_OP_END:
        break;
    }
    return false;
}
