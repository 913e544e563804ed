/* SPDX-License-Identifier: Apache-2.0 */
#include "common/format.h"

#include <stdbool.h>
#include <stdint.h>

struct line {
    char *out;
    size_t room;
    size_t used;
};

static void put(struct line *line, char c)
{
    if (line->used < line->room) {
        line->out[line->used++] = c;
    }
}

static void put_string(struct line *line, const char *s)
{
    while (*s) {
        put(line, *s++);
    }
}

static void put_unsigned(struct line *line, uint64_t value, unsigned base)
{
    char digits[20];
    unsigned n = 0;

    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (n) {
        put(line, digits[--n]);
    }
}

static void put_signed(struct line *line, int64_t value)
{
    uint64_t magnitude = (uint64_t)value;

    if (value < 0) {
        put(line, '-');
        magnitude = 0 - magnitude;
    }
    put_unsigned(line, magnitude, 10);
}

size_t format_line(char *out, size_t room, const char *format, va_list arguments)
{
    struct line line = {.out = out, .room = room};
    va_list args;

    va_copy(args, arguments);
    for (const char *f = format; *f; f++) {
        if (*f != '%') {
            put(&line, *f);
            continue;
        }
        bool is_long = f[1] == 'l';
        f += is_long ? 2 : 1;
        if (*f == 's') {
            put_string(&line, va_arg(args, const char *));
        } else if (*f == 'c') {
            put(&line, (char)va_arg(args, int));
        } else if (*f == 'd') {
            put_signed(&line, is_long ? va_arg(args, int64_t) : va_arg(args, int));
        } else if (*f == 'u' || *f == 'x') {
            put_unsigned(&line, is_long ? va_arg(args, uint64_t) : va_arg(args, unsigned),
                         *f == 'u' ? 10 : 16);
        } else if (*f == '%') {
            put(&line, '%');
        } else {
            break; /* a mistake in the format: show what there is */
        }
    }
    va_end(args);
    return line.used;
}
