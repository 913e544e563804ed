/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which guest runs, until when, and with which event. Time is asked for only when something depends
 * on it: a single guest without a timer of its own runs without a preemption timer.
 */
#include <stddef.h>

#include "host.h"
#include "l1.h"
#include "lib/say.h"
#include "mezz/calls.h"
#include "mezz/exit.h"
#include "personality.h"
#include "report.h"

#define RFLAGS_IF         (1ULL << 9)
#define BLOCKED_BY_STI_SS 3U /* interruptibility_state */
#define ACTIVITY_HLT      1U
#define NEVER             UINT64_MAX
#define MICROSECOND       1000ULL
#define MAX_TIMER_US      UINT32_MAX

static uint64_t tick_of(const struct l2 *l2)
{
    return l2->pit.next && l2->state != L2_ENDED ? l2->pit.next : NEVER;
}

/* The processor's guest number i, if it has not ended. */
static struct l2 *guest_of(const struct cpu *cpu, unsigned int i)
{
    struct l2 *l2 = &cpu->l1->l2[i];

    return l2->cpu == cpu->index && l2->state != L2_ENDED ? l2 : NULL;
}

/* Raises the timer interrupts that are due, wakes the guests that have one, and counts. */
static void look_at_guests(struct cpu *cpu)
{
    cpu->ready = 0;
    cpu->next_tick = NEVER;
    for (unsigned int i = 0; i < cpu->l1->l2_count; i++) {
        struct l2 *l2 = guest_of(cpu, i);

        if (!l2)
            continue;
        if (pit_tick(&l2->pit, cpu->now))
            pic_raise(&l2->pic, PIC_TIMER_LINE);
        if (l2->state == L2_HALTED && pic_pending(&l2->pic))
            l2->state = L2_READY;
        if (l2->state == L2_READY)
            cpu->ready++;
        else if (tick_of(l2) < cpu->next_tick)
            cpu->next_tick = tick_of(l2);
    }
}

static bool can_wake(const struct l2 *l2)
{
    return l2->pit.next && pic_line_open(&l2->pic, PIC_TIMER_LINE);
}

/* The next guest in turn that is ready, or that waits for its timer if none is; NULL: all have
 * ended. Guests that wait for nothing end here. */
static struct l2 *choose(struct cpu *cpu)
{
    struct l2 *l2 = guest_of(cpu, cpu->current);
    struct l2 *waiting = NULL;

    if (l2 && l2->state == L2_READY && (cpu->ready == 1 || cpu->now < cpu->slice_end))
        return l2;
    for (unsigned int i = 1; i <= cpu->l1->l2_count; i++) {
        unsigned int index = (cpu->current + i) % cpu->l1->l2_count;

        l2 = guest_of(cpu, index);
        if (!l2)
            continue;
        if (l2->state == L2_READY) {
            cpu->current = index;
            cpu->slice_end = cpu->now + cpu->l1->config.slice;
            return l2;
        }
        if (l2->state == L2_HALTED && !can_wake(l2)) {
            report_death(l2, report_never_woken);
            guest_end(cpu->l1, l2, MEZZ_L2_DIED);
        } else if (!waiting || tick_of(l2) < tick_of(waiting)) {
            waiting = l2;
        }
    }
    return waiting;
}

/* Injects the next interrupt, or asks for the moment when the guest can take it. */
static uint32_t prepare_event(struct l2 *l2)
{
    struct mezz_vmcs12_events *events = &l2->vmcs->events;
    uint32_t activity = l2->state == L2_HALTED ? ACTIVITY_HLT : 0;

    if (events->activity_state != activity) {
        events->activity_state = activity;
        l2_wrote(l2, MEZZ_GROUP_EVENTS);
    }
    if (l2->vmcs->exit.idt_vectoring_info & MEZZ_EVENT_VALID) {
        events->entry_interruption_info = l2->vmcs->exit.idt_vectoring_info;
        events->entry_exception_error_code = l2->vmcs->exit.idt_vectoring_error_code;
        l2_wrote(l2, MEZZ_GROUP_EVENTS);
    }
    if (!pic_pending(&l2->pic))
        return 0;
    if (!(l2->vmcs->regs.guest_rflags & RFLAGS_IF) ||
        events->interruptibility_state & BLOCKED_BY_STI_SS ||
        events->entry_interruption_info & MEZZ_EVENT_VALID)
        return MEZZ_CPU_INTERRUPT_WINDOW_EXITING;
    events->entry_interruption_info =
        MEZZ_EVENT_VALID | MEZZ_EVENT_EXTERNAL | pic_acknowledge(&l2->pic);
    l2_wrote(l2, MEZZ_GROUP_EVENTS);
    return pic_pending(&l2->pic) ? MEZZ_CPU_INTERRUPT_WINDOW_EXITING : 0;
}

static void prepare_controls(struct l2 *l2, uint32_t window, uint32_t pin_based,
                             uint64_t nanoseconds)
{
    struct mezz_vmcs12_controls *controls = &l2->vmcs->controls;
    uint32_t cpu_based = (controls->cpu_based & ~MEZZ_CPU_INTERRUPT_WINDOW_EXITING) | window;
    uint32_t timer = 0;

    if (nanoseconds != NEVER) {
        uint64_t microseconds = nanoseconds / MICROSECOND + 1;

        pin_based |= MEZZ_PIN_PREEMPTION_TIMER;
        timer = microseconds > MAX_TIMER_US ? MAX_TIMER_US : (uint32_t)microseconds;
    }
    if (controls->cpu_based == cpu_based && controls->pin_based == pin_based &&
        controls->preemption_timer == timer)
        return;
    controls->cpu_based = cpu_based;
    controls->pin_based = pin_based;
    controls->preemption_timer = timer;
    l2_wrote(l2, MEZZ_GROUP_CONTROLS);
}

static uint64_t time_to_run(const struct cpu *cpu, const struct l2 *l2)
{
    uint64_t deadline = cpu->next_tick;

    if (tick_of(l2) < deadline)
        deadline = tick_of(l2);
    if (cpu->ready > 1 && cpu->slice_end < deadline)
        deadline = cpu->slice_end;
    if (deadline == NEVER)
        return NEVER;
    return deadline > cpu->now ? deadline - cpu->now : 0;
}

static void run(struct cpu *cpu, struct l2 *l2)
{
    const struct personality *personality = cpu->l1->config.personality;
    enum outcome outcome;
    int64_t status;

    if (personality->store)
        personality->store(l2);
    cpu->entries++;
    status = cpu->l1->host->enter(l2);
    if (status < 0) {
        say("guest %s died: the root refused to enter it: error %lu", l2->name, -(uint64_t)status);
        guest_end(cpu->l1, l2, MEZZ_L2_DIED);
        return;
    }
    if (personality->fetch)
        personality->fetch(l2);
    outcome = exit_dispatch(cpu->l1, l2);
    if (outcome == OUTCOME_HALTED)
        l2->state = L2_HALTED;
}

static bool needs_time(const struct cpu *cpu)
{
    for (unsigned int i = 0; i < cpu->l1->l2_count; i++) {
        const struct l2 *l2 = guest_of(cpu, i);

        if (l2 && (l2->pit.next || cpu->living > 1))
            return true;
    }
    return false;
}

void schedule(struct cpu *cpu)
{
    /* A kick has to end what a guest does. */
    uint32_t pin_based = cpu->l1->cpu_count > 1 ? MEZZ_PIN_EXTERNAL_INTERRUPT_EXITING : 0;

    while (cpu->l1->l2_count) {
        struct l2 *l2;

        if (__atomic_load_n(&cpu->asked_by, __ATOMIC_RELAXED))
            cpus_share(cpu);
        if (needs_time(cpu))
            cpu->now = cpu->l1->host->time();
        look_at_guests(cpu);
        l2 = choose(cpu);
        if (l2) {
            prepare_controls(l2, prepare_event(l2), pin_based, time_to_run(cpu, l2));
            run(cpu, l2);
        }
        if (cpu->ended)
            cpus_count(cpu);
        if (!l2 && !cpus_rest(cpu))
            return;
    }
}
