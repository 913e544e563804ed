/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time without a root: the time stamp counter, measured by the 8254, tells it; counter 0 of the
 * 8254 interrupts on IRQ 0 at a moment (mode 0). The interrupt's vector is the one by which L1's
 * processors wake each other: it does nothing. The 8259 ends interrupts by itself.
 */
#include "layout.h"
#include "lib/machine.h"
#include "svm/svm.h"

#define PIT_HZ        1193182ULL
#define PIT_COUNTER_0 0x40
#define PIT_CONTROL   0x43
#define PIT_MODE_0    0x30 /* counter 0, low byte then high byte */
#define PIT_LATCH_0   0x00
#define PIT_MAX       0xffffU

#define PIC_FIRST     0x20
#define PIC_SECOND    0xa0
#define ICW1          0x11
#define ICW4_8086     0x01
#define ICW4_AUTO_EOI 0x02
#define ONLY_IRQ_0    0xfe
#define NO_IRQ        0xff

#define APIC          0xfee00000ULL
#define APIC_SPURIOUS 0xf0U
#define APIC_LINT0    0x350U
#define APIC_ENABLED  0x1ffU /* with vector 0xff */
#define APIC_EXTINT   0x700U /* unmasked */

#define SECOND        1000000000ULL
#define MEASURED      11932U /* counts: 10 ms */

static uint64_t first_stamp;
static uint64_t nanoseconds_per_tick; /* times 2^32 */

static uint64_t time_stamp(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static void count_down_from(uint32_t count)
{
    port_write8(PIT_CONTROL, PIT_MODE_0);
    port_write8(PIT_COUNTER_0, (uint8_t)count);
    port_write8(PIT_COUNTER_0, (uint8_t)(count >> 8));
}

static uint32_t counter(void)
{
    uint32_t low;

    port_write8(PIT_CONTROL, PIT_LATCH_0);
    low = port_read8(PIT_COUNTER_0);
    return low | (uint32_t)port_read8(PIT_COUNTER_0) << 8;
}

static void init_pic(uint16_t port, uint8_t vector, uint8_t cascade, uint8_t icw4, uint8_t mask)
{
    port_write8(port, ICW1);
    port_write8(port + 1, vector);
    port_write8(port + 1, cascade);
    port_write8(port + 1, icw4);
    port_write8(port + 1, mask);
}

/* Virtual wire mode: the 8259's interrupts pass the local APIC. Not every firmware sets it up. */
static void init_apic(void)
{
    *(volatile uint32_t *)pointer_at(APIC + APIC_SPURIOUS) = APIC_ENABLED;
    *(volatile uint32_t *)pointer_at(APIC + APIC_LINT0) = APIC_EXTINT;
}

void svm_timer_start(void)
{
    uint64_t stamp, ticks;
    uint32_t counted;

    init_apic();
    init_pic(PIC_FIRST, L1_KICK, 1 << 2, ICW4_8086 | ICW4_AUTO_EOI, ONLY_IRQ_0);
    init_pic(PIC_SECOND, L1_KICK + 8, 2, ICW4_8086 | ICW4_AUTO_EOI, NO_IRQ);
    count_down_from(PIT_MAX);
    first_stamp = time_stamp();
    do
        counted = PIT_MAX - counter();
    while (counted < MEASURED);
    stamp = time_stamp();
    ticks = (stamp - first_stamp) * PIT_HZ / counted; /* a second */
    nanoseconds_per_tick = (SECOND << 32) / (ticks ? ticks : 1);
}

uint64_t svm_time(void)
{
    return (uint64_t)(((unsigned __int128)(time_stamp() - first_stamp) * nanoseconds_per_tick) >>
                      32);
}

void svm_timer_arm(uint64_t at)
{
    uint64_t now = svm_time();
    uint64_t left = at > now ? at - now : 0;
    uint64_t counts = left >= SECOND ? PIT_MAX : left * PIT_HZ / SECOND + 1;

    if (at == UINT64_MAX)
        port_write8(PIT_CONTROL, PIT_MODE_0); /* it counts when it has a count */
    else
        count_down_from(counts > PIT_MAX ? PIT_MAX : (uint32_t)counts);
}

void svm_timer_take(void)
{
    __asm__ volatile("sti\n\tnop\n\tcli" : : : "memory");
}

void svm_timer_sleep(uint64_t until)
{
    while (svm_time() < until) {
        svm_timer_arm(until);
        __asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
    }
}
