/* SPDX-License-Identifier: Apache-2.0 */
/* Each condition field with each operator that fits it, once true and once false, and the counters
 * that tell so. */
#include "groups.h"
#include "kit.h"

#define GPA (KIT_L2_ABSENT + 0x18)

KIT_CODE_AFTER(condition_out, "movl $0x610, %edx\n movl $0x5678, %eax\n"
                              "outw %ax, %dx\n" KIT_AFTER(condition_out) "hlt");
KIT_CODE_AFTER(condition_in, "movl $0x610, %edx\n" KIT_AFTER(condition_in) "inb %dx, %al\n hlt");
KIT_CODE_AFTER(condition_write, "movl $0x20002018, %ebx\n movl $0xcafe, %eax\n"
                                "movl %eax, (%rbx)\n" KIT_AFTER(condition_write) "hlt");
KIT_CODE_AFTER(condition_read,
               "movl $0x20002018, %ebx\n" KIT_AFTER(condition_read) "movl (%rbx), %eax\n hlt");
KIT_CODE(condition_fetch, "movl $0x20002018, %ebx\n jmp *%rbx");
KIT_CODE(condition_rdmsr, "movl $0x12345, %ecx\n rdmsr\n hlt");
KIT_CODE(condition_wrmsr, "movl $0x12345, %ecx\n movl $7, %edx\n movl $9, %eax\n wrmsr\n hlt");
KIT_CODE_AFTER(condition_hlt, "hlt\n" KIT_AFTER(condition_hlt) "hlt");

static const struct scenario {
    const char *name;
    enum kit_mode mode;
    enum mezz_exit_reason reason;
    const char *code;
} scenarios[] = {
    {"out", KIT_LONG, MEZZ_EXIT_IO, condition_out},
    {"in", KIT_LONG, MEZZ_EXIT_IO, condition_in},
    {"write", KIT_LONG, MEZZ_EXIT_EPT_VIOLATION, condition_write},
    {"write in ring 3", KIT_USER, MEZZ_EXIT_EPT_VIOLATION, condition_write},
    {"read", KIT_LONG, MEZZ_EXIT_EPT_VIOLATION, condition_read},
    {"fetch", KIT_LONG, MEZZ_EXIT_EPT_VIOLATION, condition_fetch},
    {"rdmsr", KIT_LONG, MEZZ_EXIT_RDMSR, condition_rdmsr},
    {"wrmsr", KIT_LONG, MEZZ_EXIT_WRMSR, condition_wrmsr},
    {"hlt", KIT_LONG, MEZZ_EXIT_HLT, condition_hlt},
};

enum scenario_number {
    OUT,
    IN,
    WRITE,
    USER_WRITE,
    READ,
    FETCH,
    READ_MSR,
    WRITE_MSR,
    HALT
};

#define BIT(op) (1U << MEZZ_OP_##op)
#define EQUAL   (BIT(EQ) | BIT(NE))
#define ORDERED (EQUAL | BIT(LT) | BIT(GE) | BIT(IN_RANGE) | BIT(NOT_IN_RANGE))
#define ANY     (ORDERED | BIT(MASK))
#define QIO(x)  ((0x610ULL << MEZZ_IO_PORT_SHIFT) | (x))

/* The value that a field has in a scenario. What lies at a label of the code is in `place`. */
static const struct field_case {
    enum scenario_number scenario;
    uint16_t field;
    const char *name;
    uint32_t operators;
    uint64_t value;
    const char *place;
} field_cases[] = {
    {OUT, MEZZ_FIELD_QUALIFICATION, "QUALIFICATION", ANY, QIO(1), NULL},
    {OUT, MEZZ_FIELD_RIP, "RIP", ANY, 0, condition_out_after},
    {OUT, MEZZ_FIELD_CPL, "CPL", ORDERED, 0, NULL},
    {OUT, MEZZ_FIELD_CR3, "CR3", ANY, 0, kit_l2_pml4},
    {OUT, MEZZ_FIELD_VIEW, "VIEW", ORDERED, 0, NULL},
    {OUT, MEZZ_FIELD_PORT, "PORT", ANY, 0x610, NULL},
    {OUT, MEZZ_FIELD_SIZE, "SIZE", ORDERED, 2, NULL},
    {OUT, MEZZ_FIELD_DIRECTION, "DIRECTION", EQUAL, 0, NULL},
    {OUT, MEZZ_FIELD_VALUE, "VALUE", ANY, 0x5678, NULL},
    {IN, MEZZ_FIELD_QUALIFICATION, "QUALIFICATION", EQUAL, QIO(MEZZ_IO_IN), NULL},
    {IN, MEZZ_FIELD_RIP, "RIP", ANY, 0, condition_in_after},
    {IN, MEZZ_FIELD_DIRECTION, "DIRECTION", EQUAL, 1, NULL},
    {IN, MEZZ_FIELD_VALUE, "VALUE", EQUAL, 0, NULL},
    {WRITE, MEZZ_FIELD_QUALIFICATION, "QUALIFICATION", ANY, MEZZ_EPT_VIOLATION_WRITE, NULL},
    {WRITE, MEZZ_FIELD_GPA, "GPA", ANY, GPA, NULL},
    {WRITE, MEZZ_FIELD_RIP, "RIP", ANY, 0, condition_write_after},
    {WRITE, MEZZ_FIELD_SIZE, "SIZE", ORDERED, 4, NULL},
    {WRITE, MEZZ_FIELD_DIRECTION, "DIRECTION", EQUAL, 0, NULL},
    {WRITE, MEZZ_FIELD_VALUE, "VALUE", ANY, 0xcafe, NULL},
    {WRITE, MEZZ_FIELD_ACCESS, "ACCESS", EQUAL | BIT(MASK), MEZZ_EPT_VIOLATION_WRITE, NULL},
    {USER_WRITE, MEZZ_FIELD_CPL, "CPL", EQUAL | BIT(GE), 3, NULL},
    {USER_WRITE, MEZZ_FIELD_RIP, "RIP", EQUAL, 0, condition_write_after},
    {READ, MEZZ_FIELD_GPA, "GPA", EQUAL, GPA, NULL},
    {READ, MEZZ_FIELD_RIP, "RIP", ANY, 0, condition_read_after},
    {READ, MEZZ_FIELD_DIRECTION, "DIRECTION", EQUAL, 1, NULL},
    {READ, MEZZ_FIELD_VALUE, "VALUE", EQUAL, 0, NULL},
    {READ, MEZZ_FIELD_ACCESS, "ACCESS", EQUAL | BIT(MASK), MEZZ_EPT_VIOLATION_READ, NULL},
    {FETCH, MEZZ_FIELD_GPA, "GPA", EQUAL, GPA, NULL},
    {FETCH, MEZZ_FIELD_RIP, "RIP", EQUAL, GPA, NULL},
    {FETCH, MEZZ_FIELD_SIZE, "SIZE", EQUAL, 0, NULL},
    {FETCH, MEZZ_FIELD_ACCESS, "ACCESS", EQUAL | BIT(MASK), MEZZ_EPT_VIOLATION_FETCH, NULL},
    {READ_MSR, MEZZ_FIELD_MSR, "MSR", ANY, 0x12345, NULL},
    {READ_MSR, MEZZ_FIELD_DIRECTION, "DIRECTION", EQUAL, 1, NULL},
    {READ_MSR, MEZZ_FIELD_VALUE, "VALUE", EQUAL, 0, NULL},
    {WRITE_MSR, MEZZ_FIELD_MSR, "MSR", EQUAL, 0x12345, NULL},
    {WRITE_MSR, MEZZ_FIELD_DIRECTION, "DIRECTION", EQUAL, 0, NULL},
    {WRITE_MSR, MEZZ_FIELD_VALUE, "VALUE", ANY, 0x700000009, NULL},
    {HALT, MEZZ_FIELD_QUALIFICATION, "QUALIFICATION", EQUAL, 0, NULL},
    {HALT, MEZZ_FIELD_RIP, "RIP", EQUAL, 0, condition_hlt_after},
    {HALT, MEZZ_FIELD_CPL, "CPL", EQUAL, 0, NULL},
};

/* For a value v: operands with which the operator holds, and with which it does not. */
static struct mezz_condition make(uint16_t field, uint16_t op, uint64_t v, bool holds)
{
    struct mezz_condition c = {.field = field, .op = op, .a = v};
    uint64_t other = field == MEZZ_FIELD_DIRECTION ? !v : v == 0 ? 1 : v - 1;

    switch ((enum mezz_condition_operator)op) {
    case MEZZ_OP_EQ:
        c.a = holds ? v : other;
        break;
    case MEZZ_OP_NE:
        c.a = holds ? other : v;
        break;
    case MEZZ_OP_LT:
        c.a = holds ? v + 1 : v;
        break;
    case MEZZ_OP_GE:
        c.a = holds || v == 3 ? v : v + 1;
        break;
    case MEZZ_OP_IN_RANGE:
    case MEZZ_OP_NOT_IN_RANGE:
        if (holds != (op == MEZZ_OP_IN_RANGE))
            c.a = v + 1;
        c.b = c.a;
        break;
    case MEZZ_OP_MASK:
        c.a = v & (0 - v);
        c.b = holds ? c.a : 0;
        break;
    case MEZZ_OP_EVERY:
    case MEZZ_OP_END:
        break;
    }
    return c;
}

/* evaluated, fired, failed by the first condition: a digit each. */
static uint64_t digits(const struct mezz_callback_counters *c)
{
    return c->evaluated << 8 | c->fired << 4 | c->failed[0];
}

static void one(const struct kit_guest *guest, const struct scenario *scenario,
                const struct mezz_condition *condition, bool holds, const char *name)
{
    struct kit_callback callback;
    struct mezz_callback_counters counters;

    kit_callback_init(&callback, guest, scenario->reason);
    callback.action = MEZZ_ACTION_REFLECT;
    callback.registration.state_mask = 0;
    callback.registration.condition_count = 1;
    callback.registration.condition[0] = *condition;
    if (kit_register(&callback) < 0) {
        CHECK_EQ(name, callback.number, 0);
        return;
    }
    guest->vmcs->regs.guest_rip = kit_address(scenario->code);
    kit_wrote(guest, MEZZ_GROUP_BIT(MEZZ_GROUP_REGS));
    kit_enter(guest);
    kit_counters(&callback, &counters);
    kit_unregister(&callback);
    CHECK_EQ(name, digits(&counters) + (guest->vmcs->exit.reason == scenario->reason ? 0 : 0x1000),
             holds ? 0x110 : 0x101);
}

static void all_operators(const struct kit_guest *guest, const struct field_case *c)
{
    static const char *const names[MEZZ_OP_END][2] = {
        [MEZZ_OP_EQ] = {"EQ false", "EQ true"},
        [MEZZ_OP_NE] = {"NE false", "NE true"},
        [MEZZ_OP_LT] = {"LT false", "LT true"},
        [MEZZ_OP_GE] = {"GE false", "GE true"},
        [MEZZ_OP_IN_RANGE] = {"IN_RANGE false", "IN_RANGE true"},
        [MEZZ_OP_NOT_IN_RANGE] = {"NOT_IN_RANGE false", "NOT_IN_RANGE true"},
        [MEZZ_OP_MASK] = {"MASK false", "MASK true"},
    };
    uint64_t value = c->place != NULL ? kit_address(c->place) : c->value;

    for (uint16_t op = MEZZ_OP_EQ; op < MEZZ_OP_EVERY; op++) {
        for (int holds = 0; holds < 2; holds++) {
            struct mezz_condition condition = make(c->field, op, value, holds);

            /* CPL 3 is never below what CPL may be. MASK of 0 is always true. */
            if (!(c->operators >> op & 1) || (op == MEZZ_OP_GE && value == 3 && !holds) ||
                (op == MEZZ_OP_MASK && value == 0 && !holds))
                continue;
            one(guest, &scenarios[c->scenario], &condition, holds, names[op][holds]);
        }
    }
}

void group_conditions(void)
{
    char label[64];

    for (unsigned int i = 0; i < sizeof(field_cases) / sizeof(field_cases[0]); i++) {
        const struct field_case *c = &field_cases[i];
        const struct scenario *scenario = &scenarios[c->scenario];
        struct kit_guest guest;
        unsigned int n = 0;

        for (const char *s = scenario->name; *s != '\0';)
            label[n++] = *s++;
        label[n++] = ' ';
        for (const char *s = c->name; *s != '\0';)
            label[n++] = *s++;
        label[n] = '\0';
        KIT_LABEL(label);
        kit_open(&guest, scenario->mode, scenario->code);
        all_operators(&guest, c);
        kit_close(&guest);
    }
}
