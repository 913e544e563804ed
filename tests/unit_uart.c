/* SPDX-License-Identifier: Apache-2.0 */
/* The 16550 register by register. */
#include "vmm/devices/uart16550.h"

#include <string.h>

#include "runner.h"

enum {
    DATA,
    IER,
    IIR,
    LCR,
    MCR,
    LSR,
    MSR,
    SCR
};

static struct uart16550 uart;
static char sent[64];
static size_t sent_length;

static void sink(void *context, const char *text, size_t length)
{
    ck_assert_ptr_eq(context, sent);
    ck_assert_uint_le(length, sizeof(sent) - sent_length);
    memcpy(sent + sent_length, text, length);
    sent_length += length;
}

static void setup(void)
{
    sent_length = 0;
    uart16550_init(&uart, sink, sent);
}

static void set(unsigned int offset, unsigned int value)
{
    uart16550_write(&uart, offset, (uint8_t)value);
}

static unsigned int get(unsigned int offset)
{
    return uart16550_read(&uart, offset);
}

START_TEST(after_reset)
{
    static const unsigned int values[] = {0, 0, 1, 0, 0, 0x60, 0xb0, 0};

    setup();
    for (unsigned int offset = 0; offset < 8; offset++)
        ck_assert_msg(get(offset) == values[offset], "register %u", offset);
    ck_assert(!uart16550_interrupt(&uart));
}
END_TEST

START_TEST(sends)
{
    setup();
    for (const char *text = "hello\n"; *text; text++) {
        ck_assert_uint_eq(get(LSR), 0x60);
        set(DATA, (unsigned char)*text);
    }
    set(DATA, 0xff);
    ck_assert_uint_eq(sent_length, 7);
    ck_assert_mem_eq(sent, "hello\n\xff", 7);
    ck_assert_uint_eq(get(LSR), 0x60);
    uart16550_init(&uart, NULL, NULL);
    set(DATA, 'x');
}
END_TEST

/* Which bits of a register keep what is written. */
START_TEST(writable_bits)
{
    static const struct {
        unsigned int offset, mask;
    } registers[] = {{IER, 0x0f}, {LCR, 0xff}, {MCR, 0x1f}, {LSR, 0}, {MSR, 0}, {SCR, 0xff}};
    const unsigned int offset = registers[_i].offset;

    setup();
    for (unsigned int value = 0; value < 256; value++) {
        unsigned int before = registers[_i].mask ? 0 : get(offset);

        set(offset, value);
        ck_assert_uint_eq(get(offset), before | (value & registers[_i].mask));
    }
    ck_assert_uint_eq(sent_length, 0);
}
END_TEST

START_TEST(divisor)
{
    setup();
    set(LCR, 0x83);
    ck_assert_uint_eq(get(DATA), 1);
    set(DATA, 0x34);
    set(IER, 0x12);
    ck_assert_uint_eq(get(DATA), 0x34);
    ck_assert_uint_eq(get(IER), 0x12);
    set(LCR, 0x03);
    ck_assert_uint_eq(get(IER), 0);
    ck_assert_uint_eq(get(DATA), 0);
    ck_assert_uint_eq(sent_length, 0);
    set(DATA, 'a');
    ck_assert_uint_eq(sent_length, 1);
    set(LCR, 0x80);
    ck_assert_uint_eq(get(DATA), 0x34);
}
END_TEST

/* Offsets beyond the eight ports are those ports again. */
START_TEST(offsets)
{
    setup();
    set(8 + SCR, 0x5a);
    ck_assert_uint_eq(get(SCR), 0x5a);
    ck_assert_uint_eq(get(0xfff8 + SCR), 0x5a);
}
END_TEST

START_TEST(fifo_control)
{
    setup();
    set(IIR, 0xc7);
    ck_assert_uint_eq(get(IIR), 0xc1);
    set(IIR, 0);
    ck_assert_uint_eq(get(IIR), 0x01);
}
END_TEST

START_TEST(transmitter_interrupt)
{
    setup();
    set(MCR, 0x08);
    set(IER, 0x02);
    ck_assert(uart16550_interrupt(&uart));
    ck_assert_uint_eq(get(IIR), 0x02);
    ck_assert(!uart16550_interrupt(&uart)); /* reading IIR took it back */
    ck_assert_uint_eq(get(IIR), 0x01);
    set(IER, 0x02); /* enabled already: no new one */
    ck_assert(!uart16550_interrupt(&uart));
    set(DATA, 'x');
    ck_assert(uart16550_interrupt(&uart));
    set(MCR, 0);
    ck_assert(!uart16550_interrupt(&uart)); /* OUT2 is the gate */
    set(MCR, 0x08);
    set(IER, 0);
    ck_assert(!uart16550_interrupt(&uart));
}
END_TEST

START_TEST(loop_back)
{
    setup();
    set(MCR, 0x10);
    set(DATA, 0xae);
    ck_assert_uint_eq(sent_length, 0);
    ck_assert_uint_eq(get(LSR), 0x61);
    ck_assert_uint_eq(get(DATA), 0xae);
    ck_assert_uint_eq(get(LSR), 0x60);
    ck_assert_uint_eq(get(DATA), 0);
    set(DATA, 1);
    set(DATA, 2);
    ck_assert_uint_eq(get(LSR), 0x63); /* overrun, told once */
    ck_assert_uint_eq(get(LSR), 0x61);
    ck_assert_uint_eq(get(DATA), 2);
    set(DATA, 3);
    set(IIR, 0x03);
    ck_assert_uint_eq(get(LSR), 0x60);
    set(MCR, 0x00);
    set(DATA, 'z');
    ck_assert_uint_eq(sent_length, 1);
}
END_TEST

/* In a loop: RTS to CTS, DTR to DSR, OUT1 to RI, OUT2 to DCD. */
START_TEST(modem_loop_back)
{
    static const unsigned int lines[] = {0x20, 0x10, 0x40, 0x80};

    setup();
    for (unsigned int outputs = 0; outputs < 16; outputs++) {
        unsigned int expected = 0;

        for (unsigned int i = 0; i < 4; i++)
            if (outputs & 1U << i)
                expected |= lines[i];
        set(MCR, 0x10 | outputs);
        ck_assert_uint_eq(get(MSR) & 0xf0, expected);
        ck_assert_uint_eq(get(MSR) & 0x0f, 0); /* changes are told once */
    }
    set(MCR, 0x10);
    get(MSR);
    set(MCR, 0x12);
    ck_assert_uint_eq(get(MSR), 0x11);
    set(MCR, 0x16);
    ck_assert_uint_eq(get(MSR), 0x50); /* RI that comes is no change */
    set(MCR, 0x12);
    ck_assert_uint_eq(get(MSR), 0x14); /* RI that goes is */
}
END_TEST

/* The causes in the order in which IIR tells them. */
START_TEST(interrupt_priorities)
{
    setup();
    set(MCR, 0x10);
    get(MSR);
    set(IER, 0x0f);
    set(MCR, 0x12);
    set(DATA, 1);
    set(DATA, 2);
    ck_assert(!uart16550_interrupt(&uart)); /* OUT2 is not on the pin in a loop */
    ck_assert_uint_eq(get(IIR), 0x06);
    get(LSR);
    ck_assert_uint_eq(get(IIR), 0x04);
    get(DATA);
    ck_assert_uint_eq(get(IIR), 0x02);
    ck_assert_uint_eq(get(IIR), 0x00);
    get(MSR);
    ck_assert_uint_eq(get(IIR), 0x01);
}
END_TEST

RUN_CASES("uart", 10, ONCE(after_reset), ONCE(sends), EACH(writable_bits, 6), ONCE(divisor),
          ONCE(offsets), ONCE(fifo_control), ONCE(transmitter_interrupt), ONCE(loop_back),
          ONCE(modem_loop_back), ONCE(interrupt_priorities))
