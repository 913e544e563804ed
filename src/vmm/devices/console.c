/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/devices/console.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 4096U

void console_init(struct console *console, size_t cap, console_live *live, void *context)
{
    memset(console, 0, sizeof(*console));
    console->cap = cap ? cap : CONSOLE_CAP;
    console->live = live;
    console->context = context;
}

/* Makes room for `length` more bytes, or for as many as there can be. */
static size_t make_room(struct console *console, size_t length)
{
    size_t capacity = console->capacity ? console->capacity : FIRST_CAPACITY;
    char *text;

    if (length > console->cap - console->length)
        length = console->cap - console->length;
    if (length <= console->capacity - console->length)
        return length;
    while (capacity < console->length + length)
        capacity *= 2;
    if (capacity > console->cap)
        capacity = console->cap;
    text = realloc(console->text, capacity);
    if (text == NULL)
        return console->capacity - console->length;
    console->text = text;
    console->capacity = capacity;
    return length;
}

static void keep(struct console *console, const char *text, size_t length)
{
    const size_t room = make_room(console, length);

    if (room)
        memcpy(console->text + console->length, text, room);
    console->length += room;
    console->dropped += length - room;
}

static void show_line(struct console *console)
{
    if (console->line_length)
        console->live(console->context, console->line, console->line_length);
    console->line_length = 0;
}

/* An escape is never cut in two. */
static void show(struct console *console, const char *text, size_t length)
{
    if (length > CONSOLE_LINE - console->line_length)
        show_line(console);
    memcpy(console->line + console->line_length, text, length);
    console->line_length += length;
}

static void show_escaped(struct console *console, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";
    const char text[] = {'\\', 'x', digits[byte >> 4], digits[byte & 15]};

    show(console, text, sizeof(text));
}

static void show_byte(struct console *console, char byte)
{
    if (console->carriage_return && byte != '\n')
        show_escaped(console, '\r');
    console->carriage_return = byte == '\r';
    if (byte == '\r')
        return;
    if ((byte >= ' ' && byte <= '~') || byte == '\t' || byte == '\n')
        show(console, &byte, 1);
    else
        show_escaped(console, (unsigned char)byte);
    if (byte == '\n')
        show_line(console);
}

void console_write(struct console *console, const char *text, size_t length)
{
    keep(console, text, length);
    if (console->live == NULL)
        return;
    for (size_t i = 0; i < length; i++)
        show_byte(console, text[i]);
}

void console_sink(void *context, const char *text, size_t length)
{
    console_write(context, text, length);
}

void console_flush(struct console *console)
{
    if (console->live == NULL)
        return;
    if (console->carriage_return)
        show_escaped(console, '\r');
    console->carriage_return = 0;
    show_line(console);
}

struct console_text console_text(const struct console *console)
{
    return (struct console_text){.text = console->text ? console->text : "",
                                 .length = console->length,
                                 .dropped = console->dropped};
}

void console_destroy(struct console *console)
{
    free(console->text);
    console->text = NULL;
    console->length = 0;
    console->capacity = 0;
}
