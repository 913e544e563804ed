/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/say.h"

#include <stdarg.h>
#include <stdbool.h>

#include "lib/machine.h"
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

static void put_string(struct line *line, const char *string)
{
    while (*string)
        put_char(line, *string++);
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

static void put_format(struct line *line, const char *format, va_list arguments)
{
    for (; *format; format++) {
        bool is_long = false;

        if (*format != '%') {
            put_char(line, *format);
            continue;
        }
        if (*++format == 'l') {
            is_long = true;
            format++;
        }
        if (*format == 's')
            put_string(line, va_arg(arguments, const char *));
        else if (*format == 'c')
            put_char(line, (char)va_arg(arguments, int));
        else if (*format == 'u' || *format == 'x')
            put_number(line,
                       is_long ? va_arg(arguments, unsigned long) : va_arg(arguments, unsigned int),
                       *format == 'x' ? 16 : 10);
        else
            put_char(line, *format);
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

    put_string(&line, "nested_l1: ");
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
