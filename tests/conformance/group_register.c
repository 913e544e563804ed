/* SPDX-License-Identifier: Apache-2.0 */
/* MEZZ_CALL_CALLBACK_REGISTER: what it refuses and with which error, replacement, limits. */
#include "groups.h"
#include "kit.h"

KIT_CODE(register_halt, "hlt");

/* One field of a good registration is altered. OUTSIDE is added to the end of L1's memory. */
#define FIELD(name)                                    \
    offsetof(struct mezz_callback_registration, name), \
        sizeof(((struct mezz_callback_registration *)0)->name)
#define OUTSIDE (1ULL << 63)

struct bad_field {
    const char *name;
    size_t offset;
    size_t width;
    uint64_t value;
    enum mezz_error error;
};

static const struct bad_field bad_fields[] = {
    {"L2 0", FIELD(l2), 0, MEZZ_E_ID},
    {"an L2 that is not there", FIELD(l2), 60, MEZZ_E_ID},
    {"the largest L2", FIELD(l2), UINT32_MAX, MEZZ_E_ID},
    {"mode 0", FIELD(mode), 0, MEZZ_E_MODE},
    {"mode 3", FIELD(mode), 3, MEZZ_E_MODE},
    {"the largest mode", FIELD(mode), UINT32_MAX, MEZZ_E_MODE},
    {"handler outside", FIELD(handler), OUTSIDE, MEZZ_E_HANDLER},
    {"handler far outside", FIELD(handler), 0x8000000000000000 - 1, MEZZ_E_HANDLER},
    {"stack not aligned", FIELD(stack), 0x100008, MEZZ_E_ALIGNMENT},
    {"stack 0", FIELD(stack), 0, MEZZ_E_STACK},
    {"stack outside", FIELD(stack), OUTSIDE + 16, MEZZ_E_STACK},
    {"stack at the end of the address space", FIELD(stack), 0xfffffffffffffff0, MEZZ_E_STACK},
    {"frame not aligned", FIELD(frame), 0x100008, MEZZ_E_ALIGNMENT},
    {"frame outside", FIELD(frame), OUTSIDE, MEZZ_E_STACK},
    {"frame at the end of the address space", FIELD(frame), 0xfffffffffffff000, MEZZ_E_STACK},
    {"state mask with MSRS", FIELD(state_mask), MEZZ_GROUP_BIT(MEZZ_GROUP_MSRS), MEZZ_E_STATE_MASK},
    {"state mask with EXIT", FIELD(state_mask), MEZZ_GROUP_BIT(MEZZ_GROUP_EXIT), MEZZ_E_STATE_MASK},
    {"state mask with bit 62", FIELD(state_mask), 1ULL << 62, MEZZ_E_STATE_MASK},
    {"nine conditions", FIELD(condition_count), 9, MEZZ_E_CONDITIONS},
    {"the largest number of conditions", FIELD(condition_count), UINT32_MAX, MEZZ_E_CONDITIONS},
    {"replace of none", FIELD(replace), 60, MEZZ_E_ID},
    {"replace of the largest number", FIELD(replace), UINT32_MAX, MEZZ_E_ID},
    {"condition: reserved", FIELD(condition[1].reserved), 1, MEZZ_E_ARGUMENT},
    {"condition: field 0", FIELD(condition[1].field), 0, MEZZ_E_CONDITION_FIELD},
    {"condition: field past the last", FIELD(condition[1].field), MEZZ_FIELD_END,
     MEZZ_E_CONDITION_FIELD},
    {"condition: the largest field", FIELD(condition[1].field), UINT16_MAX, MEZZ_E_CONDITION_FIELD},
    {"condition: operator 0", FIELD(condition[1].op), 0, MEZZ_E_CONDITION_OPERATOR},
    {"condition: operator past the last", FIELD(condition[1].op), MEZZ_OP_END,
     MEZZ_E_CONDITION_OPERATOR},
    {"condition: the largest operator", FIELD(condition[1].op), UINT16_MAX,
     MEZZ_E_CONDITION_OPERATOR},
};

static void good_registration(struct kit_callback *callback, const struct kit_guest *guest,
                              enum mezz_exit_reason reason)
{
    kit_callback_init(callback, guest, reason);
    kit_condition(callback, MEZZ_FIELD_RIP, MEZZ_OP_NE, 1, 0);
    kit_condition(callback, MEZZ_FIELD_RIP, MEZZ_OP_NE, 2, 0);
}

static void refused_fields(const struct kit_guest *guest)
{
    struct kit_callback callback;

    for (unsigned int i = 0; i < sizeof(bad_fields) / sizeof(bad_fields[0]); i++) {
        const struct bad_field *bad = &bad_fields[i];
        uint64_t value = bad->value;

        if (bad->value & OUTSIDE && bad->value < OUTSIDE + 4096)
            value = bad->value - OUTSIDE + kit.memory_end;
        good_registration(&callback, guest, MEZZ_EXIT_IO);
        kit_copy((uint8_t *)&callback.registration + bad->offset, &value, bad->width);
        CHECK_ERROR(bad->name, kit_register(&callback), bad->error);
    }
}

static void reasons(const struct kit_guest *guest)
{
    static const uint32_t given[] = {
        MEZZ_EXIT_TRIPLE_FAULT,
        MEZZ_EXIT_INTERRUPT_WINDOW,
        MEZZ_EXIT_HLT,
        MEZZ_EXIT_IO,
        MEZZ_EXIT_RDMSR,
        MEZZ_EXIT_WRMSR,
        MEZZ_EXIT_EPT_VIOLATION,
        MEZZ_EXIT_PREEMPTION_TIMER,
        MEZZ_EXIT_EMULATION_FAILURE,
    };
    static const uint32_t kept[] = {
        MEZZ_EXIT_EXCEPTION, MEZZ_EXIT_TASK_SWITCH, MEZZ_EXIT_CPUID,  MEZZ_EXIT_INVD,
        MEZZ_EXIT_INVLPG,    MEZZ_EXIT_RDPMC,       MEZZ_EXIT_RDTSC,  MEZZ_EXIT_VMCALL,
        MEZZ_EXIT_CR_ACCESS, MEZZ_EXIT_DR_ACCESS,   MEZZ_EXIT_RDTSCP, MEZZ_EXIT_MONITOR_TRAP,
        MEZZ_EXIT_PAUSE,     MEZZ_EXIT_WBINVD,      MEZZ_EXIT_XSETBV,
    };
    static const uint32_t none[] = {3,
                                    4,
                                    79,
                                    MEZZ_EXIT_SDM_COUNT,
                                    MEZZ_EXIT_OWN_FIRST - 1,
                                    MEZZ_EXIT_OWN_END,
                                    UINT32_MAX,
                                    MEZZ_EXIT_HLT | 1U << 31};
    struct kit_callback callback;

    for (unsigned int i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        good_registration(&callback, guest, given[i]);
        CHECK("a reason that the root gives", kit_register(&callback) > 0);
        kit_unregister(&callback);
    }
    for (unsigned int i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        good_registration(&callback, guest, kept[i]);
        CHECK_ERROR("a reason that KVM keeps", kit_register(&callback), MEZZ_E_REASON_KVM);
    }
    for (unsigned int i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        good_registration(&callback, guest, none[i]);
        CHECK_ERROR("no such reason", kit_register(&callback), MEZZ_E_REASON);
    }
}

static const struct bad_condition {
    const char *name;
    enum mezz_exit_reason reason;
    struct mezz_condition condition;
    enum mezz_error error;
} bad_conditions[] = {
#define BAD(text, why, f, o, x, y, e)                                                            \
    {                                                                                            \
        text, MEZZ_EXIT_##why, {.field = MEZZ_FIELD_##f, .op = MEZZ_OP_##o, .a = (x), .b = (y)}, \
            MEZZ_E_CONDITION_##e                                                                 \
    }
    BAD("GPA of an I/O exit", IO, GPA, EQ, 0, 0, FIELD),
    BAD("ACCESS of an I/O exit", IO, ACCESS, EQ, 0, 0, FIELD),
    BAD("MSR of an I/O exit", IO, MSR, EQ, 0, 0, FIELD),
    BAD("PORT of an EPT violation", EPT_VIOLATION, PORT, EQ, 0, 0, FIELD),
    BAD("MSR of an EPT violation", EPT_VIOLATION, MSR, EQ, 0, 0, FIELD),
    BAD("PORT of RDMSR", RDMSR, PORT, EQ, 0, 0, FIELD),
    BAD("SIZE of WRMSR", WRMSR, SIZE, EQ, 0, 0, FIELD),
    BAD("SIZE of HLT", HLT, SIZE, EQ, 0, 0, FIELD),
    BAD("DIRECTION of HLT", HLT, DIRECTION, EQ, 0, 0, FIELD),
    BAD("VALUE of HLT", HLT, VALUE, EQ, 0, 0, FIELD),
    BAD("MASK on CPL", IO, CPL, MASK, 1, 1, OPERATOR),
    BAD("MASK on VIEW", IO, VIEW, MASK, 1, 1, OPERATOR),
    BAD("MASK on SIZE", IO, SIZE, MASK, 1, 1, OPERATOR),
    BAD("MASK on COUNT", IO, COUNT, MASK, 1, 1, OPERATOR),
    BAD("MASK on TIME", IO, TIME, MASK, 1, 1, OPERATOR),
    BAD("EQ on TIME", IO, TIME, EQ, 1, 0, OPERATOR),
    BAD("IN_RANGE on TIME", IO, TIME, IN_RANGE, 1, 2, OPERATOR),
    BAD("EVERY on TIME", IO, TIME, EVERY, 1, 0, OPERATOR),
    BAD("EVERY on PORT", IO, PORT, EVERY, 1, 0, OPERATOR),
    BAD("EVERY on RIP", IO, RIP, EVERY, 1, 0, OPERATOR),
    BAD("LT on DIRECTION", IO, DIRECTION, LT, 1, 0, OPERATOR),
    BAD("MASK on DIRECTION", IO, DIRECTION, MASK, 1, 1, OPERATOR),
    BAD("GE on ACCESS", EPT_VIOLATION, ACCESS, GE, 1, 0, OPERATOR),
    BAD("IN_RANGE on ACCESS", EPT_VIOLATION, ACCESS, IN_RANGE, 1, 2, OPERATOR),
    BAD("CPL 4", IO, CPL, EQ, 4, 0, VALUE),
    BAD("VIEW 512", IO, VIEW, EQ, 512, 0, VALUE),
    BAD("PORT 0x10000", IO, PORT, EQ, 0x10000, 0, VALUE),
    BAD("SIZE 9", IO, SIZE, EQ, 9, 0, VALUE),
    BAD("DIRECTION 2", IO, DIRECTION, EQ, 2, 0, VALUE),
    BAD("MSR of 33 bits", RDMSR, MSR, EQ, 1ULL << 32, 0, VALUE),
    BAD("ACCESS 8", EPT_VIOLATION, ACCESS, EQ, 8, 0, VALUE),
    BAD("b with EQ", IO, PORT, EQ, 1, 1, VALUE),
    BAD("b with NE", IO, PORT, NE, 1, 1, VALUE),
    BAD("b with LT", IO, PORT, LT, 1, 1, VALUE),
    BAD("b with GE", IO, PORT, GE, 1, 1, VALUE),
    BAD("b with EVERY", IO, COUNT, EVERY, 1, 1, VALUE),
    BAD("b past the field's largest", IO, PORT, IN_RANGE, 1, 0x10000, VALUE),
    BAD("a range that ends before it starts", IO, PORT, IN_RANGE, 2, 1, VALUE),
    BAD("the same with NOT_IN_RANGE", IO, PORT, NOT_IN_RANGE, 2, 1, VALUE),
    BAD("MASK with bits outside", IO, PORT, MASK, 0xf0, 0x11, VALUE),
    BAD("EVERY 0", IO, COUNT, EVERY, 0, 0, VALUE),
#undef BAD
};

static void refused_conditions(const struct kit_guest *guest)
{
    struct kit_callback callback;

    for (unsigned int i = 0; i < sizeof(bad_conditions) / sizeof(bad_conditions[0]); i++) {
        const struct bad_condition *bad = &bad_conditions[i];

        good_registration(&callback, guest, bad->reason);
        callback.registration.condition[1] = bad->condition;
        CHECK_ERROR(bad->name, kit_register(&callback), bad->error);
    }
    good_registration(&callback, guest, MEZZ_EXIT_IO);
    callback.registration.condition[2].field = UINT16_MAX;
    CHECK("a bad condition behind the last is not looked at", kit_register(&callback) > 0);
    kit_unregister(&callback);
}

static void limits(const struct kit_guest *guest)
{
    struct kit_callback callback, last;
    uint64_t made[MEZZ_MAX_CALLBACKS + 1];
    unsigned int count = 0;

    kit_callback_init(&callback, guest, MEZZ_EXIT_IO);
    while (count <= MEZZ_MAX_CALLBACKS && kit_register(&callback) > 0)
        made[count++] = (uint64_t)callback.number;
    CHECK_ERROR("one more than the machine holds", callback.number, MEZZ_E_LIMIT);
    CHECK_EQ("what it holds", count, MEZZ_MAX_CALLBACKS);
    last = callback;
    last.registration.replace = (uint32_t)made[0];
    CHECK_EQ("a replacement needs no more room", kit_register(&last), made[0]);
    while (count > 0)
        mezz_call(MEZZ_CALL_CALLBACK_UNREGISTER, made[--count], 0, 0);
    good_registration(&callback, guest, MEZZ_EXIT_IO);
    for (unsigned int i = 2; i < MEZZ_MAX_CONDITIONS; i++)
        kit_condition(&callback, MEZZ_FIELD_RIP, MEZZ_OP_NE, i, 0);
    CHECK("eight conditions", kit_register(&callback) > 0);
    kit_unregister(&callback);
    kit_callback_init(&callback, guest, MEZZ_EXIT_IO);
    callback.registration.stack = kit.memory_end;
    CHECK("a stack that ends where L1's memory does", kit_register(&callback) > 0);
    kit_unregister(&callback);
}

static void replacement(const struct kit_guest *guest)
{
    struct kit_callback first, second, other;
    struct mezz_callback_counters counters;
    int64_t l2 = kit_l2_create("register-other");

    kit_callback_init(&first, guest, MEZZ_EXIT_IO);
    kit_callback_init(&second, guest, MEZZ_EXIT_IO);
    kit_callback_init(&other, guest, MEZZ_EXIT_HLT);
    kit_register(&first);
    second.registration.replace = (uint32_t)first.number;
    CHECK_EQ("replace: the same number", kit_register(&second), first.number);
    other.registration.replace = (uint32_t)first.number;
    CHECK_ERROR("replace: of another reason", kit_register(&other), MEZZ_E_ID);
    other.registration.reason = MEZZ_EXIT_IO;
    other.registration.l2 = (uint32_t)l2;
    CHECK_ERROR("replace: of another L2", kit_register(&other), MEZZ_E_ID);
    second.registration.mode = 9;
    CHECK_ERROR("replace: by what is refused", kit_register(&second), MEZZ_E_MODE);
    second.number = first.number;
    CHECK_EQ("replace: the old one is still there", kit_counters(&second, &counters), 0);
    CHECK_EQ("unregister", kit_unregister(&first), 0);
    other.registration.replace = 0;
    CHECK("of the other L2", kit_register(&other) > 0);
    mezz_call(MEZZ_CALL_L2_DESTROY, (uint64_t)l2, 0, 0);
    CHECK_ERROR("an L2 takes its callbacks with it", kit_counters(&other, &counters), MEZZ_E_ID);
}

void group_register(void)
{
    struct kit_guest guest;

    kit_open(&guest, KIT_LONG, register_halt);
    refused_fields(&guest);
    reasons(&guest);
    refused_conditions(&guest);
    limits(&guest);
    replacement(&guest);
    kit_close(&guest);
}
