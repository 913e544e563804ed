/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/say.h"

#include <stdarg.h>
#include <stdbool.h>

#include "lib/machine.h"
#include "lib/text.h"
#include "mezz/guest.h"

#define LINE_SIZE       512U

#define UART_LINE_STATE 5
#define UART_THR_EMPTY  0x20
#define UART_PATIENCE   10000

struct line {
    char *at;
    char *end;
};

static bool root_listens;

void say_to_root(void)
{
    root_listens = true;
}

static void put_char(struct line *line, char c)
{
    if (line->at < line->end)
        *line->at++ = c;
}

static void put_text(struct line *line, struct text text)
{
    uint64_t room = (uint64_t)(line->end - line->at);

    if (text.length > room)
        text.length = room;
    copy_bytes(line->at, text.start, text.length);
    line->at += text.length;
}

static void put_number(struct line *line, uint64_t value, unsigned int base)
{
    char digits[20];
    unsigned int count = 0;

    do {
        uint64_t rest = base == 16 ? value >> 4 : value / 10;

        digits[count++] = "0123456789abcdef"[value - rest * base];
        value = rest;
    } while (value);
    while (count)
        put_char(line, digits[--count]);
}

static void put_argument(struct line *line, char kind, uint64_t value)
{
    switch (kind) {
    case 's':
        put_text(line, text_of(pointer_at(value)));
        break;
    case 'u':
        put_number(line, value, 10);
        break;
    case 'x':
        put_number(line, value, 16);
        break;
    default:
        put_char(line, kind);
        break;
    }
}

static void put_format(struct line *line, const char *format, va_list arguments)
{
    struct text rest = text_of(format);

    for (;;) {
        struct text plain = text_until(rest, '%');
        bool is_long;

        put_text(line, plain);
        text_drop(&rest, plain.length);
        if (rest.length < 2)
            return;
        is_long = rest.start[1] == 'l' || rest.start[1] == 's';
        text_drop(&rest, rest.start[1] == 'l' ? 2 : 1);
        put_argument(line, *rest.start,
                     is_long ? va_arg(arguments, unsigned long) : va_arg(arguments, unsigned int));
        text_drop(&rest, 1);
    }
}

static void uart_send(const char *text, const char *end)
{
    for (; text < end; text++) {
        for (unsigned int i = 0; i < UART_PATIENCE; i++)
            if (port_read8(MEZZ_PORT_UART + UART_LINE_STATE) & UART_THR_EMPTY)
                break;
        port_write8(MEZZ_PORT_UART, (uint8_t)*text);
    }
}

void say(const char *format, ...)
{
    char text[LINE_SIZE];
    struct line line = {.at = text, .end = text + LINE_SIZE - 1};
    va_list arguments;

    put_text(&line, TEXT("nested_l1: "));
    va_start(arguments, format);
    put_format(&line, format, arguments);
    va_end(arguments);
    *line.at++ = '\n';
    if (root_listens)
        mezz_call(MEZZ_CALL_CONSOLE, 0, address_of(text), (uint64_t)(line.at - text));
    else
        uart_send(text, line.at);
}

_Noreturn void stop(uint8_t status)
{
    if (root_listens)
        mezz_call(MEZZ_CALL_EXIT, status, 0, 0);
    for (;;) {
        port_write8(MEZZ_PORT_DEBUG_EXIT, status);
        __asm__ volatile("hlt");
    }
}
