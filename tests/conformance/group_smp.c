/* SPDX-License-Identifier: Apache-2.0 */
/* A second vCPU of L1, L2s on both at the same time, and interrupts between them. */
#include "groups.h"
#include "kit.h"
#include "kit_program.h"

#define ROUNDS  50
#define WAIT_NS 10000000000ULL
#define SLEEPS  10
#define NAP_NS  1000000000ULL

KIT_CODE(smp_loop, "1: incq (%rbx)\n outb %al, $0x61\n jmp 1b");
KIT_CODE(smp_spin, "1: incq (%rbx)\n jmp 1b");
KIT_CODE(smp_count, "1: outb %al, $0x61\n decl %ecx\n jnz 1b\n hlt");
KIT_CODE(smp_sleep, "incq (%rbx)\n 1: sti\n hlt\n jmp 1b");
KIT_CODE(smp_tell, "1: incq (%rbx)\n outb %al, $0x62\n jmp 1b");

struct side {
    struct kit_guest guest;
    volatile uint64_t state; /* 1: it runs; 2: it is done */
    unsigned int exits;
    int64_t status;
};

static struct side sides[2];
static struct kit_callback shared;
static struct kit_guest wanted; /* entered by the second vCPU while the first one tries it, too */
static volatile uint64_t order; /* what the second vCPU is to do next */
static volatile int64_t result;

static void wait_for(const volatile uint64_t *word, uint64_t value)
{
    while (*word != value)
        __asm__ volatile("pause");
}

static void run_side(struct side *side)
{
    for (side->exits = 0; side->exits < ROUNDS; side->exits++) {
        int64_t reason = kit_exit(&side->guest);

        if (reason != MEZZ_EXIT_IO) {
            side->status = reason;
            break;
        }
    }
    side->state = 2;
}

enum {
    ORDER_RUN = 1,
    ORDER_ENTER,
    ORDER_WAKE
};

static volatile uint64_t awake; /* the first vCPU, from its HLT */

static void wake_sleeper(void)
{
    const uint64_t start = kit_time();

    while (!awake && kit_time() - start < NAP_NS)
        __asm__ volatile("pause");
    while (!awake && mezz_call(MEZZ_CALL_L1_INTERRUPT, 0, 0x3c, 0) != -MEZZ_E_BUSY)
        ;
}

/* What the second vCPU does, one order at a time. It never returns. */
static _Noreturn void second_vcpu(struct side *side)
{
    __asm__ volatile("lidt %0" : : "m"(*(const char *)kit_at(kit_address(side->guest.data))));
    for (;;) {
        switch (order) {
        case ORDER_RUN:
            run_side(side);
            break;
        case ORDER_ENTER:
            result = kit_exit(&wanted);
            break;
        case ORDER_WAKE:
            wake_sleeper();
            break;
        default:
            __asm__ volatile("pause");
            continue;
        }
        order = 0;
    }
}

static void start(void)
{
    uint64_t stack = kit_address(kit_pages(4)) + 4 * MEZZ_PAGE_SIZE - 8;

    __asm__ volatile("sidt %0" : "=m"(*(char *)sides[1].guest.data) : : "memory");
    CHECK_EQ(
        "L1_VCPU_START: number",
        mezz_call(MEZZ_CALL_L1_VCPU_START, (uint64_t)second_vcpu, stack, kit_address(&sides[1])),
        1);
    CHECK_ERROR("L1_VCPU_START: one more than the machine has",
                mezz_call(MEZZ_CALL_L1_VCPU_START, (uint64_t)second_vcpu, stack, 0), MEZZ_E_LIMIT);
}

static void both(void)
{
    struct mezz_callback_counters counters;

    KIT_LABEL("L2s on both");
    order = ORDER_RUN;
    run_side(&sides[0]);
    wait_for(&order, 0);
    for (unsigned int i = 0; i < 2; i++) {
        CHECK_EQ("exits", sides[i].exits, ROUNDS);
        CHECK_EQ("what its L2 counted", sides[0].guest.data[1 + i], ROUNDS);
        CHECK_EQ("exit count", sides[i].guest.vmcs->exit.count, ROUNDS);
    }
    kit_counters(&shared, &counters);
    CHECK_EQ("a registration of their L2: evaluated by both", counters.evaluated, 2 * ROUNDS);
    CHECK_EQ("never fired", counters.fired, 0);
    CHECK_EQ("failed", counters.failed[0], 2 * ROUNDS);
}

/* The two vCPUs of the L2 are in different views, each with its own memory: at the same time, or in
 * turns where the engine cannot. */
static void apart(void)
{
    uint64_t *list = kit_pages(1);

    KIT_LABEL("in different views");
    for (unsigned int i = 0; i < 2; i++)
        list[i] = MEZZ_EPTP(kit_address(sides[i].guest.pml4));
    CHECK_EQ("EPTP_LIST", mezz_call(MEZZ_CALL_EPTP_LIST, sides[0].guest.l2, kit_address(list), 2),
             0);
    sides[1].guest.vmcs->ept.eptp = list[1];
    sides[1].guest.vmcs->ept.eptp_index = 1;
    kit_wrote(&sides[1].guest, MEZZ_GROUP_BIT(MEZZ_GROUP_EPT));
    order = ORDER_RUN;
    run_side(&sides[0]);
    wait_for(&order, 0);
    for (unsigned int i = 0; i < 2; i++) {
        CHECK_EQ("exits", sides[i].exits, ROUNDS);
        CHECK_EQ("view", sides[i].guest.vmcs->ept.eptp_index, i);
    }
    CHECK_EQ("the first one's memory", sides[0].guest.data[1], 2 * ROUNDS);
    CHECK_EQ("is not written by the second one", sides[0].guest.data[2], ROUNDS);
    CHECK_EQ("the second one's memory", sides[1].guest.data[2], ROUNDS);
    CHECK_EQ("is not written by the first one", sides[1].guest.data[1], 0);
}

/* What is entered on one vCPU is not for the other. */
static void busy(void)
{
    struct kit_guest other;

    KIT_LABEL("entered on the other vCPU");
    order = ORDER_ENTER;
    while (*(volatile uint64_t *)&wanted.data[1] == 0)
        __asm__ volatile("pause");
    CHECK_ERROR("ENTER", mezz_call(MEZZ_CALL_ENTER, wanted.vcpu, 0, 0), MEZZ_E_BUSY);
    CHECK_ERROR("VCPU_DESTROY", mezz_call(MEZZ_CALL_VCPU_DESTROY, wanted.vcpu, 0, 0), MEZZ_E_BUSY);
    CHECK_ERROR("L2_DESTROY", mezz_call(MEZZ_CALL_L2_DESTROY, wanted.l2, 0, 0), MEZZ_E_BUSY);
    kit_open_in(&other, wanted.l2, KIT_LONG, smp_loop);
    other.vmcs->regs.gpr[MEZZ_RBX] = KIT_L2_DATA + 16;
    CHECK_EQ("another vCPU of its L2 with another EPTP", kit_exit(&other), MEZZ_EXIT_IO);
    CHECK_EQ("runs in memory of its own", other.data[2], 1);
    CHECK_EQ("and not in the other's", wanted.data[2], 0);
    other.vmcs->ept.eptp = wanted.vmcs->ept.eptp;
    kit_wrote(&other, MEZZ_GROUP_BIT(MEZZ_GROUP_EPT));
    CHECK_EQ("with the same, it runs", kit_exit(&other), MEZZ_EXIT_IO);
    CHECK_EQ("in the same memory", wanted.data[2], 1);
    kit_close(&other);
    CHECK_EQ("L1_INTERRUPT ends it", mezz_call(MEZZ_CALL_L1_INTERRUPT, 1, 0x55, 0), 0);
    wait_for(&order, 0);
    CHECK_EQ("its exit", result, MEZZ_EXIT_EXTERNAL_INTERRUPT);
    CHECK_EQ("with the vector", wanted.vmcs->exit.interruption_info & MEZZ_EVENT_VECTOR_MASK, 0x55);
    CHECK("which is valid", wanted.vmcs->exit.interruption_info & MEZZ_EVENT_VALID);
    CHECK_EQ("taken by the exit, not by the IDT", kit.interrupts, 0);
}

/* The handler of a callback runs on one vCPU while the other one would take it away. */
static volatile uint64_t in_handler;

static void linger(struct kit_callback *callback)
{
    in_handler = 1;
    (void)callback;
    wait_for(&in_handler, 2);
}

static void in_flight(void)
{
    struct kit_callback callback;

    KIT_LABEL("a callback that runs on the other vCPU");
    wanted.vmcs->controls.pin_based = MEZZ_PIN_PREEMPTION_TIMER;
    wanted.vmcs->controls.preemption_timer = 1000;
    kit_wrote(&wanted, MEZZ_GROUP_BIT(MEZZ_GROUP_CONTROLS));
    kit_callback_init(&callback, &wanted, MEZZ_EXIT_PREEMPTION_TIMER);
    callback.action = MEZZ_ACTION_REFLECT;
    callback.hook = linger;
    kit_register(&callback);
    order = ORDER_ENTER;
    wait_for(&in_handler, 1);
    CHECK_ERROR("UNREGISTER", kit_unregister(&callback), MEZZ_E_BUSY);
    callback.registration.replace = (uint32_t)callback.number;
    CHECK_ERROR("a replacement",
                mezz_call(MEZZ_CALL_CALLBACK_REGISTER, kit_address(&callback.registration), 0, 0),
                MEZZ_E_BUSY);
    CHECK_ERROR("L2_DESTROY", mezz_call(MEZZ_CALL_L2_DESTROY, wanted.l2, 0, 0), MEZZ_E_BUSY);
    in_handler = 2;
    wait_for(&order, 0);
    CHECK_EQ("its exit", result, MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("then UNREGISTER", kit_unregister(&callback), 0);
}

/* Both vCPUs of an L2 exit for one registration, which has one stack and one frame. */
#define HANDLED   20
#define LINGER_NS 500000

static volatile struct {
    uint64_t inside, entered, overlaps, strangers;
} handlers;

static _Noreturn __attribute__((used)) void shared_handler(struct mezz_callback_frame *frame,
                                                           uint64_t reason, uint64_t qualification,
                                                           uint64_t value, uint64_t flags)
{
    volatile uint32_t mine = frame->vcpu; /* on the stack */

    (void)reason;
    (void)qualification;
    (void)value;
    for (;;) {
        uint64_t start = kit_time();

        handlers.overlaps += __atomic_fetch_add(&handlers.inside, 1, __ATOMIC_SEQ_CST) != 0;
        __atomic_fetch_add(&handlers.entered, 1, __ATOMIC_SEQ_CST);
        while (kit_time() - start < LINGER_NS)
            __asm__ volatile("pause");
        handlers.strangers += *(volatile uint32_t *)&frame->vcpu != mine;
        __atomic_fetch_sub(&handlers.inside, 1, __ATOMIC_SEQ_CST);
        mezz_call(MEZZ_CALL_CALLBACK_RETURN, MEZZ_ACTION_RESUME, 0, flags);
    }
}

static void shared_while(const char *label, uint64_t flags)
{
    const uint32_t l2 = (uint32_t)kit_l2_create(label);
    struct mezz_callback_counters counters;
    struct kit_callback callback;

    KIT_LABEL(label);
    handlers.inside = handlers.entered = handlers.overlaps = handlers.strangers = 0;
    for (unsigned int i = 0; i < 2; i++) {
        kit_open_in(&sides[i].guest, l2, KIT_LONG, smp_count);
        sides[i].guest.vmcs->regs.gpr[MEZZ_RCX] = HANDLED;
        sides[i].guest.vmcs->ept.eptp = MEZZ_EPTP(kit_address(sides[0].guest.pml4));
    }
    kit_callback_init(&callback, &sides[0].guest, MEZZ_EXIT_IO);
    callback.registration.handler = (uint64_t)shared_handler;
    callback.registration.cookie = flags;
    kit_register(&callback);
    order = ORDER_RUN;
    run_side(&sides[0]);
    wait_for(&order, 0);
    for (unsigned int i = 0; i < 2; i++)
        CHECK_EQ("both come to their HLT", sides[i].status, MEZZ_EXIT_HLT);
    CHECK_EQ("the handler was run for each OUT", handlers.entered, 2 * HANDLED);
    CHECK_EQ("by one at a time", handlers.overlaps, 0);
    CHECK_EQ("with its own frame and stack", handlers.strangers, 0);
    kit_counters(&callback, &counters);
    CHECK_EQ("fired", counters.fired, 2 * HANDLED);
    CHECK_EQ("UNREGISTER", kit_unregister(&callback), 0);
    CHECK_EQ("L2_DESTROY", mezz_call(MEZZ_CALL_L2_DESTROY, l2, 0, 0), 0);
}

static void shared_handlers(void)
{
    shared_while("one-handler", 0);
    shared_while("one-handler-stays", MEZZ_RETURN_STAY);
}

/* What runs, sleeps, or has a handler running on the second vCPU when the first one's handler stops
 * their L2. */
static void stopped_while(const char *label, const char *code)
{
    struct kit_callback stop, stay;
    struct kit_guest first;
    uint64_t start;

    KIT_LABEL(label);
    kit_open_in(&wanted, (uint32_t)kit_l2_create(label), KIT_LONG, code);
    wanted.vmcs->regs.gpr[MEZZ_RBX] = KIT_L2_DATA + 8;
    wanted.vmcs->controls.cpu_based = MEZZ_CPU_UNCONDITIONAL_IO_EXITING;
    kit_open_in(&first, wanted.l2, KIT_LONG, smp_loop);
    first.vmcs->regs.gpr[MEZZ_RBX] = KIT_L2_DATA + 16;
    first.vmcs->ept.eptp = wanted.vmcs->ept.eptp;
    kit_callback_init(&stop, &first, MEZZ_EXIT_IO);
    kit_condition(&stop, MEZZ_FIELD_PORT, MEZZ_OP_EQ, 0x61, 0);
    stop.action = MEZZ_ACTION_STOP_L2;
    kit_register(&stop);
    kit_callback_init(&stay, &wanted, MEZZ_EXIT_IO);
    kit_condition(&stay, MEZZ_FIELD_PORT, MEZZ_OP_EQ, 0x62, 0);
    stay.hook = linger;
    kit_register(&stay);
    in_handler = 0;
    order = ORDER_ENTER;
    while (*(volatile uint64_t *)&wanted.data[1] == 0 || (code == smp_tell && in_handler == 0))
        __asm__ volatile("pause");
    CHECK_EQ("the stopper's exit", kit_exit(&first), MEZZ_EXIT_IO);
    if (code == smp_tell)
        CHECK_ERROR("L2_DESTROY meanwhile", mezz_call(MEZZ_CALL_L2_DESTROY, wanted.l2, 0, 0),
                    MEZZ_E_BUSY);
    in_handler = 2;
    start = kit_time();
    while (order != 0 && kit_time() - start < WAIT_NS)
        __asm__ volatile("pause");
    CHECK_EQ("the other one's ENTER returns", order, 0);
    CHECK_ERROR("with", result, MEZZ_E_STATE);
    CHECK_EQ("as its abort field says", wanted.vmcs->abort, MEZZ_E_STATE);
    CHECK_EQ("without an exit", wanted.vmcs->exit.count, 0);
    CHECK_EQ("L2_DESTROY", mezz_call(MEZZ_CALL_L2_DESTROY, wanted.l2, 0, 0), 0);
}

static void stopped(void)
{
    stopped_while("stopped-running", smp_spin);
    stopped_while("stopped-asleep", smp_sleep);
    stopped_while("stopped-in-handler", smp_tell);
}

/* An emulated kvm_amd forgets at some exits that STI holds interrupts back for one instruction more
 * (docs/lanes.md). Then the interrupt comes before HLT, which only the other vCPU can end. */
static bool one_ends_hlt(void)
{
    const uint64_t before = kit.interrupts;

    awake = 0;
    order = ORDER_WAKE;
    mezz_call(MEZZ_CALL_L1_INTERRUPT, 0, 0x3d, 0);
    __asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
    awake = 1;
    wait_for(&order, 0);
    /* One more may have been on its way. */
    __asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
    return kit.interrupts == before + 1;
}

static void own_interrupts(void)
{
    unsigned int sleeps = 0;

    KIT_LABEL("interrupts for L1");
    CHECK_ERROR("vCPU", mezz_call(MEZZ_CALL_L1_INTERRUPT, 2, 0x40, 0), MEZZ_E_ID);
    CHECK_ERROR("vector 31", mezz_call(MEZZ_CALL_L1_INTERRUPT, 0, 31, 0), MEZZ_E_ARGUMENT);
    CHECK_ERROR("vector 256", mezz_call(MEZZ_CALL_L1_INTERRUPT, 0, 256, 0), MEZZ_E_ARGUMENT);
    CHECK_EQ("to itself", mezz_call(MEZZ_CALL_L1_INTERRUPT, 0, 0x3f, 0), 0);
    CHECK_ERROR("a second one", mezz_call(MEZZ_CALL_L1_INTERRUPT, 0, 0x3e, 0), MEZZ_E_BUSY);
    CHECK_EQ("waits for RFLAGS.IF", kit.interrupts, 0);
    __asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
    for (unsigned int i = 0; i < 1000 && kit.interrupts == 0; i++)
        __asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
    CHECK_EQ("then it is delivered", kit.interrupts, 1);
    CHECK_EQ("vector", kit.last_vector, 0x3f);
    while (sleeps < SLEEPS && !one_ends_hlt())
        sleeps++;
    CHECK("it ends a HLT", sleeps < SLEEPS);
    CHECK_EQ("vector", kit.last_vector, 0x3d);
}

void group_smp(void)
{
    uint32_t leaf[4];

    kit_cpuid(MEZZ_CPUID_INTERFACE, leaf);
    CHECK("the feature", leaf[1] & MEZZ_FEATURE_SMP);
    for (unsigned int i = 0; i < 2; i++) {
        kit_open(&sides[i].guest, KIT_LONG, smp_loop);
        sides[i].guest.vmcs->regs.gpr[MEZZ_RBX] = KIT_L2_DATA + 8 + 8 * i;
        sides[i].guest.vmcs->ept.eptp = MEZZ_EPTP(kit_address(sides[0].guest.pml4));
    }
    kit_callback_init(&shared, &sides[0].guest, MEZZ_EXIT_IO);
    kit_condition(&shared, MEZZ_FIELD_PORT, MEZZ_OP_EQ, 1, 0);
    kit_register(&shared);
    start();
    both();
    apart();
    kit_open_in(&wanted, (uint32_t)kit_l2_create("smp-wanted"), KIT_LONG, smp_spin);
    wanted.vmcs->controls.pin_based = MEZZ_PIN_EXTERNAL_INTERRUPT_EXITING;
    wanted.vmcs->regs.gpr[MEZZ_RBX] = KIT_L2_DATA + 8;
    busy();
    in_flight();
    shared_handlers();
    stopped();
    own_interrupts();
}
