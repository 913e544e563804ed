/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/timer.h"

#include "kernel/cpu.h"
#include "kernel/layout.h"

#define PIT_COUNTER        0x40
#define PIT_CONTROL        0x43
#define PIT_HZ             1193182

#define PIT_RATE_GENERATOR 0x34 /* counter 0, low then high byte, mode 2 */
#define PIT_READ_STATUS    0xe2 /* counter 0's status, not its count */
#define PIT_STATUS_MODE    0x3f

#define PIC_MASTER         0x20
#define PIC_SLAVE          0xa0
#define PIC_INIT           0x11
#define PIC_8086           0x01
#define PIC_MASK_ALL       0xff
#define PIC_MASK_NOT_0     0xfe
#define PIC_AUTO           0x02 /* no end-of-interrupt command: one exit less a tick */

#define FIRST_TICK_WITHIN  (1ul << 30) /* TSC ticks: some tenths of a second */

enum timer_state {
    UNTRIED,
    RUNNING,
    ABSENT
};

static enum timer_state state;
static unsigned period_ms = TICK_MS_DEFAULT;
static volatile uint64_t ticks;

void timer_init(void)
{
    out8(PIC_MASTER + 1, PIC_MASK_ALL); /* the slave goes through the master */
}

void timer_set_period(unsigned ms)
{
    period_ms = ms > TICK_MS_MAX ? TICK_MS_MAX : ms;
}

static void pic_init(uint16_t port, uint8_t vector, uint8_t wiring, uint8_t mask)
{
    uint16_t data = (uint16_t)(port + 1);

    out8(port, PIC_INIT);
    out8(data, vector);
    out8(data, wiring);
    out8(data, PIC_8086 | PIC_AUTO);
    out8(data, mask);
}

bool timer_start(void)
{
    if (state != UNTRIED) {
        return state == RUNNING;
    }
    state = ABSENT;
    if (!period_ms) {
        return false;
    }
    out8(PIT_CONTROL, PIT_RATE_GENERATOR);
    out8(PIT_CONTROL, PIT_READ_STATUS);
    if ((in8(PIT_COUNTER) & PIT_STATUS_MODE) != PIT_RATE_GENERATOR) {
        return false;
    }
    pic_init(PIC_MASTER, VECTOR_IRQ, 0x04, PIC_MASK_NOT_0);
    pic_init(PIC_SLAVE, VECTOR_IRQ + 8, 0x02, PIC_MASK_ALL);
    unsigned reload = PIT_HZ / 1000 * period_ms;
    out8(PIT_COUNTER, (uint8_t)reload);
    out8(PIT_COUNTER, (uint8_t)(reload >> 8));
    state = RUNNING;
    return true;
}

bool timer_ticks_come(void)
{
    if (!timer_start()) {
        return false;
    }
    uint64_t start = read_tsc();
    while (!ticks) {
        if (read_tsc() - start > FIRST_TICK_WITHIN) {
            state = ABSENT;
            return false;
        }
        let_interrupts_in();
    }
    return true;
}

void timer_interrupt(uint64_t irq)
{
    ticks += irq == 0; /* others: spurious ones, all lines but the timer's are masked */
}

uint64_t timer_ticks(void)
{
    return ticks;
}

uint64_t timer_deadline(uint64_t ms)
{
    return ticks + (ms + period_ms - 1) / period_ms + 1;
}
