/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The optional tick: 8254 channel 0 through the 8259. A machine without them (or a hypervisor that
 * models none) is found out by reading the counter's mode back, and then nothing is programmed.
 */
#ifndef TINY_KERNEL_TIMER_H
#define TINY_KERNEL_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#define TICK_MS_DEFAULT 10
#define TICK_MS_MAX     54 /* the 16-bit counter at 1.19 MHz */

/*
 * Masks all interrupt lines: firmware may have left its own timer running, with vectors that mean
 * exceptions here. Call before ring 3 runs.
 */
void timer_init(void);

/* 0: never start it. Call before timer_start. */
void timer_set_period(unsigned ms);

/* Starts it unless it runs already; false if there is none. */
bool timer_start(void);

/*
 * Starts it and sees a tick come: there are machines with a timer whose interrupts lead nowhere,
 * and a kernel that halts on those never wakes up. Waits, at most once and for a moment.
 */
bool timer_ticks_come(void);

void timer_interrupt(uint64_t irq);
uint64_t timer_ticks(void);

/* The tick at which at least so many milliseconds have passed. */
uint64_t timer_deadline(uint64_t ms);

#endif
