/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An L1 with two vCPUs that run three L2s each at the same time, while each registers and
 * unregisters callbacks of the other one's L2s and interrupts it. At the end everything that was
 * counted on the way is compared.
 */
#include "smp.h"

#include "kit.h"

#define KICK       40
#define OWN_L2S    (SMP_L2S / SMP_CPUS)
#define TEXT_OF(x) #x
#define NUMBER(x)  TEXT_OF(x)

KIT_CODE(three_ports,
         "movl $" NUMBER(SMP_EXITS) ", %ecx\n"
                                    "1: outb %al, $" NUMBER(
                                        SMP_CALLBACK) "\n"
                                                      "outb %al, $" NUMBER(
                                                          SMP_REFLECTED) "\n"
                                                                         "outb %al, $0x80\n"
                                                                         "decl %ecx\n"
                                                                         "jnz 1b\n"
                                                                         "2: hlt\n"
                                                                         "jmp 2b\n");

struct tally {
    uint64_t callback_port; /* reflected exits */
    uint64_t reflected_port;
    uint64_t other;
};

struct cpu {
    unsigned int index;
    struct kit_guest guest[OWN_L2S];
    struct kit_callback callback[OWN_L2S];
    struct kit_callback passing[OWN_L2S]; /* registered for a moment by the other vCPU */
    struct tally tally[OWN_L2S];
    bool ended[OWN_L2S];
    uint64_t kicks_taken; /* exits */
    uint64_t kicks_sent;  /* to the other one, and not refused */
    uint64_t taken_away; /* callbacks of the other one's L2s that were unregistered and came back */
    uint64_t busy;       /* unregistrations that were refused, because the handler ran */
    uint64_t unexpected; /* results of calls */
    volatile bool done;
};

static struct cpu cpus[SMP_CPUS];
static uint8_t io_bitmap[2 * MEZZ_PAGE_SIZE] __attribute__((aligned(MEZZ_PAGE_SIZE))) = {
    [SMP_CALLBACK / 8] = 1U << SMP_CALLBACK % 8 | 1U << SMP_REFLECTED % 8,
};

static void name_guest(char *name, unsigned int cpu, unsigned int i)
{
    name[0] = (char)('a' + cpu);
    name[1] = (char)('0' + i);
    name[2] = '\0';
}

static void prepare_guest(struct cpu *cpu, unsigned int i)
{
    struct kit_guest *guest = &cpu->guest[i];
    char name[3];

    name_guest(name, cpu->index, i);
    kit_open_in(guest, (uint32_t)kit_l2_create(name), KIT_LONG, three_ports);
    guest->vmcs->controls.pin_based = MEZZ_PIN_EXTERNAL_INTERRUPT_EXITING;
    guest->vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING | MEZZ_CPU_USE_IO_BITMAPS;
    guest->vmcs->controls.io_bitmap_a = kit_address(io_bitmap);
    guest->vmcs->controls.io_bitmap_b = kit_address(io_bitmap + MEZZ_PAGE_SIZE);
    kit_callback_init(&cpu->callback[i], guest, MEZZ_EXIT_IO);
    kit_condition(&cpu->callback[i], MEZZ_FIELD_PORT, MEZZ_OP_EQ, SMP_CALLBACK, 0);
    cpu->callback[i].registration.order = 1;
    CHECK("the callback is registered", kit_register(&cpu->callback[i]) > 0);
    kit_callback_init(&cpu->passing[i], guest, MEZZ_EXIT_IO);
    kit_condition(&cpu->passing[i], MEZZ_FIELD_PORT, MEZZ_OP_GE, 0x1000, 0);
}

/* What the other vCPU's L2 may be in the middle of. */
static void disturb(struct cpu *cpu, unsigned int i, unsigned int turn)
{
    struct cpu *other = &cpus[1 - cpu->index];
    int64_t result;

    if (kit_register(&other->passing[i]) <= 0 || kit_unregister(&other->passing[i]) != 0)
        cpu->unexpected++;
    if (turn % 4 == 0) {
        result = kit_unregister(&other->callback[i]);
        if (result == 0)
            cpu->taken_away++;
        else if (result == -MEZZ_E_BUSY)
            cpu->busy++;
        else
            cpu->unexpected++;
        if (result == 0 && kit_register(&other->callback[i]) <= 0)
            cpu->unexpected++;
    }
    if (turn % 8 == 0) {
        result = mezz_call(MEZZ_CALL_L1_INTERRUPT, other->index, KICK, 0);
        if (result == 0)
            cpu->kicks_sent++;
        else if (result != -MEZZ_E_BUSY)
            cpu->unexpected++;
    }
}

static void take_exit(struct cpu *cpu, unsigned int i)
{
    const struct mezz_vmcs12_exit *exit = &cpu->guest[i].vmcs->exit;
    struct tally *tally = &cpu->tally[i];

    if (exit->reason == MEZZ_EXIT_HLT)
        cpu->ended[i] = true;
    else if (exit->reason == MEZZ_EXIT_EXTERNAL_INTERRUPT)
        cpu->kicks_taken++;
    else if (exit->reason != MEZZ_EXIT_IO)
        tally->other++;
    else if (exit->qualification >> MEZZ_IO_PORT_SHIFT == SMP_CALLBACK)
        tally->callback_port++;
    else
        tally->reflected_port++;
}

/* Runs the vCPU's L2s in turn, to their ends. */
static void run_guests(struct cpu *cpu)
{
    unsigned int living = OWN_L2S;

    for (unsigned int turn = 0; living; turn++) {
        unsigned int i = turn % OWN_L2S;

        if (!cpus[1 - cpu->index].done)
            disturb(cpu, i, turn);
        if (cpu->ended[i])
            continue;
        if (kit_enter(&cpu->guest[i]) != 0)
            cpu->unexpected++;
        take_exit(cpu, i);
        living -= cpu->ended[i];
    }
}

static void wait_for_interrupt(void)
{
    __asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
}

static _Noreturn void second_vcpu(struct cpu *cpu)
{
    run_guests(cpu);
    cpu->kicks_sent++;
    cpu->done = true;
    while (mezz_call(MEZZ_CALL_L1_INTERRUPT, 0, KICK, 0) == -MEZZ_E_BUSY)
        ;
    for (;;)
        wait_for_interrupt();
}

static void check_guest(struct cpu *cpu, unsigned int i)
{
    const struct kit_callback *callback = &cpu->callback[i];
    const struct tally *tally = &cpu->tally[i];
    char name[3];

    name_guest(name, cpu->index, i);
    KIT_LABEL(name);
    CHECK_EQ("each exit went to the handler or to L1", callback->fired + tally->callback_port,
             SMP_EXITS);
    CHECK_EQ("no condition held for the other port", tally->reflected_port, SMP_EXITS);
    CHECK_EQ("no other exits", tally->other, 0);
    CHECK_EQ("no return was refused", callback->refused, 0);
    KIT_LABEL(NULL);
}

static void check_cpu(struct cpu *cpu)
{
    const struct cpu *other = &cpus[1 - cpu->index];

    for (unsigned int i = 0; i < OWN_L2S; i++)
        check_guest(cpu, i);
    CHECK_EQ("calls returned what they may", cpu->unexpected, 0);
    CHECK("callbacks were taken away while the other vCPU ran", cpu->taken_away > 0);
    CHECK("kicks ended runs of L2s", cpu->kicks_taken > 0);
    CHECK("each kick counts once", cpu->kicks_taken <= other->kicks_sent);
}

static void both(void)
{
    uint8_t *stack = kit_pages(4);

    for (unsigned int i = 0; i < SMP_L2S; i++) {
        cpus[i % SMP_CPUS].index = i % SMP_CPUS;
        prepare_guest(&cpus[i % SMP_CPUS], i / SMP_CPUS);
    }
    CHECK_EQ("the second vCPU starts",
             mezz_call(MEZZ_CALL_L1_VCPU_START, (uint64_t)second_vcpu,
                       kit_address(stack) + 4 * MEZZ_PAGE_SIZE - 8, kit_address(&cpus[1])),
             1);
    CHECK_ERROR("there is no third one", mezz_call(MEZZ_CALL_L1_VCPU_START, 0, 0, 0), MEZZ_E_LIMIT);
    run_guests(&cpus[0]);
    cpus[0].done = true;
    while (!cpus[1].done)
        wait_for_interrupt();
    for (unsigned int i = 0; i < SMP_CPUS; i++)
        check_cpu(&cpus[i]);
    for (unsigned int i = 0; i < SMP_L2S; i++)
        CHECK_EQ("the L2 goes",
                 mezz_call(MEZZ_CALL_L2_DESTROY, cpus[i % SMP_CPUS].guest[i / SMP_CPUS].l2, 0, 0),
                 0);
}

const struct kit_group kit_groups[] = {
    {"both", both, false},
    {NULL, NULL, false},
};

KIT_PROGRAM
