/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions on a registration's own history (COUNT, TIME), several conditions and several
 * registrations at one exit. */
#include "groups.h"
#include "kit.h"

KIT_CODE(history_loop, "movl $12, %ecx\n 1: outb %al, $0x44\n decl %ecx\n jnz 1b\n hlt");
KIT_CODE(history_wait, "outb %al, $0x44\n movl $40000, %ecx\n 1: decl %ecx\n jnz 1b\n"
                       "outb %al, $0x44\n hlt");

/* Runs the loop of 12 OUTs; bit n of the answer: exit n was not reflected, so a handler had it. */
static uint64_t firings(const struct kit_guest *guest)
{
    uint64_t fired = 0xfff;

    guest->vmcs->regs.guest_rip = kit_address(history_loop);
    kit_wrote(guest, MEZZ_GROUP_BIT(MEZZ_GROUP_REGS));
    while (kit_exit(guest) == MEZZ_EXIT_IO)
        fired &= ~(1ULL << (12 - guest->vmcs->regs.gpr[MEZZ_RCX]));
    return fired;
}

static void count(const struct kit_guest *guest)
{
    static const struct {
        const char *name;
        uint16_t op;
        uint64_t a, b;
        uint64_t fires;
    } cases[] = {
        {"COUNT EVERY 1", MEZZ_OP_EVERY, 1, 0, 0xfff},
        {"COUNT EVERY 4", MEZZ_OP_EVERY, 4, 0, 0x888},
        {"COUNT EVERY 5", MEZZ_OP_EVERY, 5, 0, 0x210},
        {"COUNT EVERY 13", MEZZ_OP_EVERY, 13, 0, 0},
        {"COUNT EQ 3", MEZZ_OP_EQ, 3, 0, 0x924},
        {"COUNT NE 1", MEZZ_OP_NE, 1, 0, 0xaaa},
        {"COUNT LT 2", MEZZ_OP_LT, 2, 0, 0xfff},
        {"COUNT GE 6", MEZZ_OP_GE, 6, 0, 0x820},
        {"COUNT IN_RANGE 2 to 3", MEZZ_OP_IN_RANGE, 2, 3, 0xaaa},
        {"COUNT NOT_IN_RANGE 1 to 2", MEZZ_OP_NOT_IN_RANGE, 1, 2, 0x924},
    };

    for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mezz_callback_counters counters;
        struct kit_callback callback;

        KIT_LABEL(cases[i].name);
        kit_callback_init(&callback, guest, MEZZ_EXIT_IO);
        kit_condition(&callback, MEZZ_FIELD_COUNT, cases[i].op, cases[i].a, cases[i].b);
        kit_register(&callback);
        CHECK_EQ("which exits fire", firings(guest), cases[i].fires);
        kit_counters(&callback, &counters);
        CHECK_EQ("evaluated", counters.evaluated, 12);
        CHECK_EQ("fired and failed make it up", counters.fired + counters.failed[0], 12);
        CHECK_EQ("the handler's own count", callback.fired, counters.fired);
        kit_unregister(&callback);
    }
}

static void time_since(const struct kit_guest *guest)
{
    static const struct {
        const char *name;
        uint16_t op;
        uint64_t a;
        uint64_t fires;
    } cases[] = {
        {"TIME GE 0", MEZZ_OP_GE, 0, 0xfff},
        {"TIME GE a day", MEZZ_OP_GE, 86400ULL * 1000000000, 0},
        {"TIME LT a day", MEZZ_OP_LT, 86400ULL * 1000000000, 0xfff},
        {"TIME LT 0", MEZZ_OP_LT, 0, 0},
    };
    struct kit_callback callback;

    for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        KIT_LABEL(cases[i].name);
        kit_callback_init(&callback, guest, MEZZ_EXIT_IO);
        kit_condition(&callback, MEZZ_FIELD_TIME, cases[i].op, cases[i].a, 0);
        kit_register(&callback);
        CHECK_EQ("which exits fire", firings(guest), cases[i].fires);
        kit_unregister(&callback);
    }
    KIT_LABEL("TIME since the registration");
    kit_callback_init(&callback, guest, MEZZ_EXIT_IO);
    kit_condition(&callback, MEZZ_FIELD_TIME, MEZZ_OP_GE, 3000000, 0);
    kit_register(&callback);
    for (uint64_t until = kit_time() + 3000000; kit_time() < until;)
        ;
    CHECK("3 ms later the first exit fires", firings(guest) & 1);
    kit_unregister(&callback);
}

/* Of eight conditions the one that is false is the one that is counted. */
static void which_failed(const struct kit_guest *guest)
{
    for (unsigned int wrong = 0; wrong <= MEZZ_MAX_CONDITIONS; wrong++) {
        struct mezz_callback_counters counters;
        struct kit_callback callback;
        uint64_t failures = 0, elsewhere = 0;

        KIT_LABEL("eight conditions");
        kit_callback_init(&callback, guest, MEZZ_EXIT_IO);
        for (unsigned int i = 0; i < MEZZ_MAX_CONDITIONS; i++)
            kit_condition(&callback, MEZZ_FIELD_PORT, MEZZ_OP_EQ, i < wrong ? 0x44 : 0x45, 0);
        kit_register(&callback);
        firings(guest);
        kit_counters(&callback, &counters);
        for (unsigned int i = 0; i < MEZZ_MAX_CONDITIONS; i++)
            *(i == wrong ? &failures : &elsewhere) += counters.failed[i];
        CHECK_EQ("the first that does not hold", failures, wrong < MEZZ_MAX_CONDITIONS ? 12 : 0);
        CHECK_EQ("no other", elsewhere, 0);
        CHECK_EQ("fired if all hold", counters.fired, wrong < MEZZ_MAX_CONDITIONS ? 0 : 12);
        kit_unregister(&callback);
    }
}

/* Three handlers that all say NEXT, registered in another order than they are asked in. */
static void order(const struct kit_guest *guest)
{
    static const uint32_t orders[4] = {7, 2, 7, 0};
    static const unsigned int turns[4] = {3, 2, 4, 1};
    struct kit_callback callback[4];
    uint64_t turn = 0;

    KIT_LABEL("order");
    for (unsigned int i = 0; i < 4; i++) {
        kit_callback_init(&callback[i], guest, MEZZ_EXIT_IO);
        callback[i].registration.order = orders[i];
        callback[i].action = MEZZ_ACTION_NEXT;
        callback[i].turn_number = &turn;
        kit_register(&callback[i]);
    }
    guest->vmcs->regs.guest_rip = kit_address(history_loop);
    kit_wrote(guest, MEZZ_GROUP_BIT(MEZZ_GROUP_REGS));
    CHECK_EQ("NEXT after the last: reflected", kit_exit(guest), MEZZ_EXIT_IO);
    CHECK_EQ("each was asked once", turn, 4);
    for (unsigned int i = 0; i < 4; i++)
        CHECK_EQ("its turn", callback[i].turn, turns[i]);
    kit_unregister(&callback[1]);
    callback[0].registration.order = 0;
    callback[0].registration.replace = (uint32_t)callback[0].number;
    kit_register(&callback[0]);
    callback[0].action = MEZZ_ACTION_RESUME;
    turn = 0;
    CHECK_EQ("11 exits, answered by the second", firings(guest), 0xfff);
    CHECK_EQ("one that is gone is not asked", callback[1].fired, 1);
    CHECK_EQ("one behind the answer is not asked", callback[2].fired, 1);
    CHECK_EQ("two were asked at each exit", turn, 24);
    CHECK_EQ("order 0, registered first", callback[3].turn, 23);
    for (unsigned int i = 0; i < 4; i++)
        kit_unregister(&callback[i]);
}

/* A registration whose condition does not hold leaves the exit to the next one. */
static void falls_through(const struct kit_guest *guest)
{
    struct mezz_callback_counters counters;
    struct kit_callback first, second;

    KIT_LABEL("a condition that does not hold");
    kit_callback_init(&first, guest, MEZZ_EXIT_IO);
    kit_condition(&first, MEZZ_FIELD_PORT, MEZZ_OP_NE, 0x44, 0);
    kit_register(&first);
    kit_callback_init(&second, guest, MEZZ_EXIT_IO);
    kit_register(&second);
    CHECK_EQ("the next one has it", firings(guest), 0xfff);
    kit_counters(&first, &counters);
    CHECK_EQ("evaluated", counters.evaluated, 12);
    CHECK_EQ("fired", counters.fired, 0);
    kit_unregister(&first);
    kit_unregister(&second);
}

/* Exits that the root handles by itself are for OBSERVE, those that it leaves for DECIDE. */
static void modes(const struct kit_guest *guest)
{
    struct kit_callback observe, decide;

    KIT_LABEL("modes");
    kit_callback_init(&observe, guest, MEZZ_EXIT_IO);
    observe.registration.mode = MEZZ_MODE_OBSERVE;
    kit_register(&observe);
    kit_callback_init(&decide, guest, MEZZ_EXIT_IO);
    kit_register(&decide);
    CHECK_EQ("exits of L1", firings(guest), 0xfff);
    CHECK_EQ("DECIDE hears of them", decide.fired, 12);
    CHECK_EQ("OBSERVE does not", observe.fired, 0);
    guest->vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING;
    kit_wrote(guest, MEZZ_GROUP_BIT(MEZZ_GROUP_CONTROLS));
    CHECK_EQ("exits that the root handles", firings(guest), 0xfff);
    CHECK_EQ("DECIDE does not hear of them", decide.fired, 12);
    CHECK_EQ("OBSERVE does", observe.fired, 12);
    CHECK("with the time", observe.frame->time > 0);
    guest->vmcs->controls.cpu_based |= MEZZ_CPU_UNCONDITIONAL_IO_EXITING;
    kit_wrote(guest, MEZZ_GROUP_BIT(MEZZ_GROUP_CONTROLS));
    kit_unregister(&observe);
    kit_unregister(&decide);
}

void group_history(void)
{
    struct kit_guest guest;

    kit_open(&guest, KIT_LONG, history_loop);
    count(&guest);
    time_since(&guest);
    which_failed(&guest);
    order(&guest);
    falls_through(&guest);
    modes(&guest);
    kit_close(&guest);
}
