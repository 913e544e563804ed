/* SPDX-License-Identifier: Apache-2.0 */
/* The devices of L1's guests, register by register. */
#include <stdlib.h>

#include "devices/pic.h"
#include "devices/pit.h"
#include "devices/uart.h"
#include "runner.h"

#define FIRST   0x20
#define SECOND  0xa0
#define DATA    1
#define EOI     0x20
#define HZ      1193182ULL
#define NS      1000000000ULL
#define COUNTER 0x40
#define CONTROL 0x43

static struct pic pic;

static void init_chip(uint16_t port, uint8_t vector, uint8_t icw4, uint8_t mask)
{
    pic_write(&pic, port, 0x11);
    pic_write(&pic, port + DATA, vector);
    pic_write(&pic, port + DATA, 4);
    pic_write(&pic, port + DATA, icw4);
    pic_write(&pic, port + DATA, mask);
}

static void init_pic(uint8_t icw4)
{
    pic_init(&pic);
    init_chip(FIRST, 0x20, icw4, 0);
    init_chip(SECOND, 0x28, icw4, 0);
}

START_TEST(masked_at_reset)
{
    pic_init(&pic);
    for (unsigned int line = 0; line < 16; line++) {
        pic_raise(&pic, line);
        ck_assert(!pic_line_open(&pic, line));
    }
    ck_assert(!pic_pending(&pic));
}
END_TEST

START_TEST(vectors)
{
    unsigned int line = (unsigned int)_i;

    init_pic(1);
    ck_assert(!pic_pending(&pic));
    pic_raise(&pic, line);
    ck_assert(pic_pending(&pic));
    ck_assert_uint_eq(pic_acknowledge(&pic), 0x20 + line);
    ck_assert(!pic_pending(&pic));
}
END_TEST

/* A lower line waits for the end of a higher one; a higher one does not wait. */
START_TEST(priorities)
{
    init_pic(1);
    pic_raise(&pic, 5);
    pic_raise(&pic, 3);
    ck_assert_uint_eq(pic_acknowledge(&pic), 0x23);
    ck_assert(!pic_pending(&pic));
    pic_raise(&pic, 1);
    ck_assert_uint_eq(pic_acknowledge(&pic), 0x21);
    pic_write(&pic, FIRST, EOI); /* of 1 */
    ck_assert(!pic_pending(&pic));
    pic_write(&pic, FIRST, EOI | 0x40 | 3);
    ck_assert_uint_eq(pic_acknowledge(&pic), 0x25);
}
END_TEST

START_TEST(automatic_end)
{
    init_pic(3);
    pic_raise(&pic, 0);
    ck_assert_uint_eq(pic_acknowledge(&pic), 0x20);
    pic_raise(&pic, 0);
    ck_assert(pic_pending(&pic));
}
END_TEST

START_TEST(masks_and_reads)
{
    init_pic(1);
    pic_write(&pic, FIRST + DATA, 0xfe);
    ck_assert_uint_eq(pic_read(&pic, FIRST + DATA), 0xfe);
    ck_assert(pic_line_open(&pic, 0));
    ck_assert(!pic_line_open(&pic, 4));
    pic_raise(&pic, 4);
    ck_assert(!pic_pending(&pic));
    ck_assert_uint_eq(pic_read(&pic, FIRST), 1U << 4);
    pic_write(&pic, FIRST + DATA, 0);
    ck_assert_uint_eq(pic_acknowledge(&pic), 0x24);
    pic_write(&pic, FIRST, 0x0b);
    ck_assert_uint_eq(pic_read(&pic, FIRST), 1U << 4);
    pic_write(&pic, FIRST, 0x0a);
    ck_assert_uint_eq(pic_read(&pic, FIRST), 0);
}
END_TEST

static struct pit pit;

static void start_pit(uint8_t control, uint32_t count, uint64_t now)
{
    pit = (struct pit){0};
    pit_write(&pit, CONTROL, control, now);
    pit_write(&pit, COUNTER, (uint8_t)count, now);
    if ((control & 0x30) == 0x30)
        pit_write(&pit, COUNTER, (uint8_t)(count >> 8), now);
}

/* Mode 0 comes once, 2 and 3 for ever; a count of 0 is 65536. */
static const struct {
    uint8_t control;
    uint32_t count;
    bool periodic;
} rates[] = {
    {0x34, 11931, true}, {0x36, 11931, true}, {0x30, 11931, false}, {0x34, 0, true},
    {0x14, 200, true},   {0x3c, 1000, true},  {0x3e, 1000, true},
};

START_TEST(periods)
{
    uint64_t ticks = rates[_i].count == 0 ? 65536 : rates[_i].count;
    uint64_t period = ticks * NS / HZ;

    start_pit(rates[_i].control, rates[_i].count, 5000);
    ck_assert_uint_eq(pit.next, 5000 + period);
    ck_assert(!pit_tick(&pit, 5000 + period - 1));
    ck_assert(pit_tick(&pit, 5000 + period));
    ck_assert(!pit_tick(&pit, 5000 + period));
    ck_assert_uint_eq(pit.next, rates[_i].periodic ? 5000 + 2 * period : 0);
    ck_assert_int_eq(pit_tick(&pit, 5000 + 2 * period), rates[_i].periodic);
}
END_TEST

/* Those that were missed are one, and the rhythm stays. */
START_TEST(missed_ticks)
{
    uint64_t period = 1000 * NS / HZ;

    start_pit(0x34, 1000, 0);
    ck_assert(pit_tick(&pit, 10 * period + 5));
    ck_assert_uint_eq(pit.next, 11 * period);
    ck_assert(!pit_tick(&pit, 10 * period + 6));
}
END_TEST

START_TEST(counts_down)
{
    uint64_t half = 500 * NS / HZ;
    uint16_t low, high;

    start_pit(0x34, 1000, 0);
    low = pit_read(&pit, COUNTER, half);
    high = pit_read(&pit, COUNTER, half);
    ck_assert_int_le(abs((int)(high << 8 | low) - 500), 1);
    pit_write(&pit, CONTROL, 0x00, half); /* latch: later reads do not move */
    low = pit_read(&pit, COUNTER, 2 * half - 1000);
    high = pit_read(&pit, COUNTER, 2 * half - 1000);
    ck_assert_int_le(abs((int)(high << 8 | low) - 500), 1);
    pit_write(&pit, CONTROL, 0xe2, half); /* status */
    ck_assert_uint_eq(pit_read(&pit, COUNTER, half) & 0x3f, 0x34);
    ck_assert_uint_eq(pit_read(&pit, COUNTER + 1, half), 0xff);
}
END_TEST

static struct uart uart;

static void set(uint16_t offset, uint8_t value)
{
    uart_write(&uart, offset, value);
}

START_TEST(uart_registers)
{
    uart = (struct uart){0};
    ck_assert_uint_eq(uart_read(&uart, 5), 0x60);
    ck_assert_uint_eq(uart_read(&uart, 2), 0x01);
    set(2, 1);
    ck_assert_uint_eq(uart_read(&uart, 2), 0xc1);
    set(7, 0x5a);
    ck_assert_uint_eq(uart_read(&uart, 7), 0x5a);
    set(3, 0x83);
    set(0, 0x12);
    set(1, 0x34);
    ck_assert_uint_eq(uart_read(&uart, 0), 0x12);
    ck_assert_uint_eq(uart_read(&uart, 1), 0x34);
    set(3, 0x03);
    ck_assert_uint_eq(uart_read(&uart, 1), 0);
    ck_assert_uint_eq(uart_read(&uart, 6), 0xb0);
    set(4, 0x1f); /* loop: all four modem outputs on */
    ck_assert_uint_eq(uart_read(&uart, 6), 0xf0);
    set(0, 'x');
    ck_assert_uint_eq(uart.length, 0);
    set(4, 0);
    set(0, 'x');
    ck_assert_uint_eq(uart.length, 1);
}
END_TEST

/* At once when it is enabled, then behind each byte; read once; through the gate of the PC. */
START_TEST(uart_interrupt)
{
    uart = (struct uart){0};
    set(0, 'a');
    ck_assert(!uart_may_interrupt(&uart, 0));
    ck_assert(uart_may_interrupt(&uart, 1));
    ck_assert(!uart_edge(&uart));
    set(4, 0x08);
    set(1, 0x02);
    ck_assert(uart_edge(&uart));
    ck_assert(!uart_edge(&uart));
    ck_assert_uint_eq(uart_read(&uart, 2), 0x02);
    ck_assert_uint_eq(uart_read(&uart, 2), 0x01);
    set(1, 0x02);
    ck_assert(!uart_edge(&uart));
    ck_assert(uart_may_interrupt(&uart, 0));
    set(0, 'b');
    ck_assert(uart_edge(&uart));
    ck_assert_uint_eq(uart_read(&uart, 2), 0x02);
    set(4, 0);
    set(0, 'c');
    ck_assert(!uart_edge(&uart));
    set(1, 0);
    ck_assert_uint_eq(uart_read(&uart, 2), 0x01);
}
END_TEST

RUN_CASES("l1_devices", 30, ONCE(masked_at_reset), EACH(vectors, 16), ONCE(priorities),
          ONCE(automatic_end), ONCE(masks_and_reads), EACH(periods, ELEMENTS(rates)),
          ONCE(missed_ticks), ONCE(counts_down), ONCE(uart_registers), ONCE(uart_interrupt))
