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

/* One conversion, from behind its % on; takes it from the front of the format. */
static void put_conversion(struct line *line, struct text *format, va_list arguments)
{
    uint64_t length = UINT64_MAX;
    struct text string;

    if (text_skip(*format, TEXT(".*"), format))
        length = (uint64_t)va_arg(arguments, int);
    if (text_skip(*format, TEXT("s"), format)) {
        string = text_of(va_arg(arguments, const char *));
        if (string.length > length)
            string.length = length;
        put_text(line, string);
    } else if (text_skip(*format, TEXT("u"), format)) {
        put_number(line, va_arg(arguments, unsigned int), 10);
    } else if (text_skip(*format, TEXT("x"), format)) {
        put_number(line, va_arg(arguments, unsigned int), 16);
    } else if (text_skip(*format, TEXT("lu"), format)) {
        put_number(line, va_arg(arguments, unsigned long), 10);
    } else if (text_skip(*format, TEXT("lx"), format)) {
        put_number(line, va_arg(arguments, unsigned long), 16);
    }
}

static void put_format(struct line *line, struct text format, va_list arguments)
{
    while (format.length) {
        struct text plain = text_until(format, '%');

        put_text(line, plain);
        text_drop(&format, plain.length);
        if (format.length) {
            text_drop(&format, 1);
            put_conversion(line, &format, arguments);
        }
    }
}

static void uart_send(struct text text)
{
    for (; text.length; text_drop(&text, 1)) {
        for (unsigned int i = 0; i < UART_PATIENCE; i++)
            if (port_read8(MEZZ_PORT_UART + UART_LINE_STATE) & UART_THR_EMPTY)
                break;
        port_write8(MEZZ_PORT_UART, (uint8_t)*text.start);
    }
}

void say(const char *format, ...)
{
    char text[LINE_SIZE];
    struct line line = {.at = text, .end = text + LINE_SIZE - 1};
    va_list arguments;

    put_text(&line, TEXT("nested_l1: "));
    va_start(arguments, format);
    put_format(&line, text_of(format), arguments);
    va_end(arguments);
    *line.at++ = '\n';
    if (root_listens)
        mezz_call(MEZZ_CALL_CONSOLE, 0, address_of(text), (uint64_t)(line.at - text));
    else
        uart_send((struct text){.start = text, .length = (uint64_t)(line.at - text)});
}

void say_for(uint32_t console, const char *name, const char *text, uint64_t length)
{
    if (root_listens) {
        mezz_call(MEZZ_CALL_CONSOLE, console, address_of(text), length);
        return;
    }
    uart_send(text_of(name));
    uart_send(TEXT(" | "));
    uart_send((struct text){.start = text, .length = length});
    if (text[length - 1] != '\n')
        uart_send(TEXT("\n"));
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
