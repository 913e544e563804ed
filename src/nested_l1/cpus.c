/* SPDX-License-Identifier: Apache-2.0 */
/*
 * L1's processors and which guests are whose. A guest changes hands under the lock only, and only
 * its owner gives it away, while it is not entered. Everything else of a guest is its owner's.
 *
 * Processors run with interrupts off. A kick ends what a guest does, or a HLT; one that comes at
 * any other moment waits for the next of these, so none is lost.
 */
#include <stddef.h>

#include "l1.h"
#include "layout.h"
#include "lib/machine.h"
#include "lib/say.h"
#include "mezz/guest.h"

static uint8_t stacks[L1_CPUS - 1][L1_STACK_SIZE] __attribute__((aligned(16)));

static void lock(struct l1 *l1)
{
    while (__atomic_exchange_n(&l1->lock, 1, __ATOMIC_ACQUIRE))
        __asm__ volatile("pause");
}

static void unlock(struct l1 *l1)
{
    __atomic_store_n(&l1->lock, 0, __ATOMIC_RELEASE);
}

/* A second one while the first waits is refused, and not needed. */
static void kick(uint32_t index)
{
    mezz_call(MEZZ_CALL_L1_INTERRUPT, index, L1_KICK, 0);
}

static void divide(struct l1 *l1)
{
    for (uint32_t i = 0; i < l1->l2_count; i++) {
        struct cpu *cpu = &l1->cpu[i % l1->cpu_count];

        l1->l2[i].cpu = cpu->index;
        cpu->living++;
        cpu->current = i;
    }
}

/* Where a processor starts: it waits until the guests are divided. */
static _Noreturn void begin(struct cpu *cpu)
{
    lock(cpu->l1);
    unlock(cpu->l1);
    cpu->l1->run(cpu);
    __builtin_unreachable();
}

/* How many processors there are is what the root says when it is asked for one more. */
static void start_next(struct l1 *l1)
{
    struct cpu *cpu = &l1->cpu[l1->cpu_count];
    uint64_t stack = address_of(stacks[l1->cpu_count - 1]) + L1_STACK_SIZE;

    /* As behind a call: the ABI of C wants RSP 8 below a multiple of 16. */
    if (mezz_call(MEZZ_CALL_L1_VCPU_START, (uint64_t)begin, stack - 8, address_of(cpu)) > 0)
        l1->cpu_count++;
}

void cpus_start(struct l1 *l1, cpu_main *run)
{
    for (uint32_t i = 0; i < L1_CPUS; i++)
        l1->cpu[i] = (struct cpu){.l1 = l1, .index = i};
    l1->cpu_count = 1;
    l1->run = run;
    lock(l1);
    if (l1->features & MEZZ_FEATURE_SMP && l1->l2_count > 1)
        start_next(l1);
    divide(l1);
    unlock(l1);
    if (l1->cpu_count > 1)
        say("processors: %u", l1->cpu_count);
}

void cpus_count(struct cpu *cpu)
{
    lock(cpu->l1);
    cpu->living -= cpu->ended;
    unlock(cpu->l1);
    cpu->ended = 0;
}

static struct l2 *spare_guest(struct cpu *cpu)
{
    for (uint32_t i = cpu->l1->l2_count; i-- > 0;) {
        struct l2 *l2 = &cpu->l1->l2[i];

        if (l2->cpu == cpu->index && l2->state != L2_ENDED && i != cpu->current)
            return l2;
    }
    return NULL;
}

void cpus_share(struct cpu *cpu)
{
    struct l1 *l1 = cpu->l1;
    struct cpu *taker;
    struct l2 *l2;

    lock(l1);
    taker = &l1->cpu[cpu->asked_by - 1];
    cpu->asked_by = 0;
    l2 = cpu->living > 1 ? spare_guest(cpu) : NULL;
    if (l2) {
        l2->cpu = taker->index;
        cpu->living--;
        taker->living++;
    }
    unlock(l1);
    if (l2)
        kick(taker->index);
}

bool cpus_rest(struct cpu *cpu)
{
    struct l1 *l1 = cpu->l1;
    struct cpu *rich = NULL;
    uint32_t living = 0;

    lock(l1);
    for (uint32_t i = 0; i < l1->cpu_count; i++) {
        living += l1->cpu[i].living;
        if (l1->cpu[i].living > 1)
            rich = &l1->cpu[i];
    }
    if (rich)
        rich->asked_by = cpu->index + 1;
    unlock(l1);
    if (!living)
        return false;
    if (rich)
        kick(rich->index);
    if (!cpu->living)
        __asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
    return true;
}
