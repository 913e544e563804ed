/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which guest runs, until when, and with which event. Time is asked for only when something depends
 * on it: a single guest without a timer of its own runs without a preemption timer.
 */
#include <stddef.h>

#include "l1.h"
#include "lib/say.h"
#include "mezz/exit.h"
#include "mezz/guest.h"
#include "personality.h"
#include "report.h"

#define RFLAGS_IF         (1ULL << 9)
#define BLOCKED_BY_STI_SS 3U /* interruptibility_state */
#define ACTIVITY_HLT      1U
#define NEVER             UINT64_MAX
#define MICROSECOND       1000ULL
#define MAX_TIMER_US      UINT32_MAX

struct schedule {
    unsigned int current;
    unsigned int ready; /* guests in this state */
    uint64_t slice_end;
    uint64_t next_tick; /* of all guests that wait for one */
};

static uint64_t tick_of(const struct l2 *l2)
{
    return l2->pit.next && l2->state != L2_ENDED ? l2->pit.next : NEVER;
}

/* Raises the timer interrupts that are due, wakes the guests that have one, and counts. */
static void look_at_guests(struct l1 *l1, struct schedule *schedule)
{
    schedule->ready = 0;
    schedule->next_tick = NEVER;
    for (unsigned int i = 0; i < l1->l2_count; i++) {
        struct l2 *l2 = &l1->l2[i];

        if (l2->state == L2_ENDED)
            continue;
        if (pit_tick(&l2->pit, l1->now))
            pic_raise(&l2->pic, PIC_TIMER_LINE);
        if (l2->state == L2_HALTED && pic_pending(&l2->pic))
            l2->state = L2_READY;
        if (l2->state == L2_READY)
            schedule->ready++;
        else if (tick_of(l2) < schedule->next_tick)
            schedule->next_tick = tick_of(l2);
    }
}

static bool can_wake(const struct l2 *l2)
{
    return l2->pit.next && pic_line_open(&l2->pic, PIC_TIMER_LINE);
}

/* The next guest in turn that is ready, or that waits for its timer if none is; NULL: all have
 * ended. Guests that wait for nothing end here. */
static struct l2 *choose(struct l1 *l1, struct schedule *schedule)
{
    struct l2 *waiting = NULL;

    if (l1->l2[schedule->current].state == L2_READY &&
        (schedule->ready == 1 || l1->now < schedule->slice_end))
        return &l1->l2[schedule->current];
    for (unsigned int i = 1; i <= l1->l2_count; i++) {
        unsigned int index = (schedule->current + i) % l1->l2_count;
        struct l2 *l2 = &l1->l2[index];

        if (l2->state == L2_READY) {
            schedule->current = index;
            schedule->slice_end = l1->now + l1->config.slice;
            return l2;
        }
        if (l2->state == L2_HALTED && !can_wake(l2)) {
            report_death(l2, report_never_woken);
            guest_end(l1, l2, MEZZ_L2_DIED);
        }
        if (l2->state == L2_HALTED && (!waiting || tick_of(l2) < tick_of(waiting)))
            waiting = l2;
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

static void prepare_controls(struct l2 *l2, uint32_t window, uint64_t nanoseconds)
{
    struct mezz_vmcs12_controls *controls = &l2->vmcs->controls;
    uint32_t cpu_based = (controls->cpu_based & ~MEZZ_CPU_INTERRUPT_WINDOW_EXITING) | window;
    uint32_t pin_based = nanoseconds == NEVER ? 0 : MEZZ_PIN_PREEMPTION_TIMER;
    uint32_t timer = 0;

    if (pin_based) {
        uint64_t microseconds = nanoseconds / MICROSECOND + 1;

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

static uint64_t time_to_run(const struct l1 *l1, const struct schedule *schedule,
                            const struct l2 *l2)
{
    uint64_t deadline = schedule->next_tick;

    if (tick_of(l2) < deadline)
        deadline = tick_of(l2);
    if (schedule->ready > 1 && schedule->slice_end < deadline)
        deadline = schedule->slice_end;
    if (deadline == NEVER)
        return NEVER;
    return deadline > l1->now ? deadline - l1->now : 0;
}

static void run(struct l1 *l1, struct l2 *l2)
{
    const struct personality *personality = l1->config.personality;
    enum outcome outcome;
    int64_t status;

    if (personality->store)
        personality->store(l2);
    status = mezz_call(MEZZ_CALL_ENTER, l2->vcpu, 0, 0);
    if (status < 0) {
        say("guest %s died: the root refused to enter it: error %lu", l2->name, -(uint64_t)status);
        guest_end(l1, l2, MEZZ_L2_DIED);
        return;
    }
    if (personality->fetch)
        personality->fetch(l2);
    outcome = exit_dispatch(l1, l2);
    if (outcome == OUTCOME_HALTED)
        l2->state = L2_HALTED;
}

static bool needs_time(const struct l1 *l1)
{
    for (unsigned int i = 0; i < l1->l2_count; i++)
        if (l1->l2[i].pit.next)
            return true;
    return l1->l2_count > 1;
}

void schedule(struct l1 *l1)
{
    struct schedule schedule = {.current = l1->l2_count - 1};
    struct l2 *l2;

    while (l1->l2_count) {
        if (needs_time(l1))
            l1->now = (uint64_t)mezz_call(MEZZ_CALL_TIME, 0, 0, 0);
        look_at_guests(l1, &schedule);
        l2 = choose(l1, &schedule);
        if (!l2)
            return;
        prepare_controls(l2, prepare_event(l2), time_to_run(l1, &schedule, l2));
        run(l1, l2);
    }
}
