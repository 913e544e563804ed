/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a console, and what a terminal gets to see of it. */
#include "vmm/devices/console.h"

#include <stdlib.h>
#include <string.h>

#include "runner.h"

static struct console console;
static char shown[8192];
static size_t shown_length;
static unsigned int calls;

static void live(void *context, const char *text, size_t length)
{
    ck_assert_ptr_eq(context, shown);
    ck_assert_uint_gt(length, 0);
    ck_assert_uint_le(length, CONSOLE_LINE);
    ck_assert_uint_lt(shown_length + length, sizeof(shown));
    memcpy(shown + shown_length, text, length);
    shown_length += length;
    shown[shown_length] = '\0';
    calls++;
}

static void setup(size_t cap)
{
    shown_length = 0;
    shown[0] = '\0';
    calls = 0;
    console_init(&console, cap, live, shown);
}

static void write_text(const char *text)
{
    console_write(&console, text, strlen(text));
}

START_TEST(line_by_line)
{
    setup(0);
    write_text("hel");
    ck_assert_uint_eq(calls, 0);
    write_text("lo\nwor");
    ck_assert_uint_eq(calls, 1);
    ck_assert_str_eq(shown, "hello\n");
    console_sink(&console, "ld\n\n", 4);
    ck_assert_uint_eq(calls, 3);
    ck_assert_str_eq(shown, "hello\nworld\n\n");
    write_text("rest");
    console_flush(&console);
    ck_assert_str_eq(shown, "hello\nworld\n\nrest");
    console_flush(&console);
    ck_assert_uint_eq(calls, 4);
    console_destroy(&console);
}
END_TEST

static const struct {
    const char *written, *shown;
} texts[] = {
    {"plain ~ text\n", "plain ~ text\n"},
    {"a\tb\n", "a\tb\n"},
    {"dos\r\n", "dos\n"},
    {"over\rwritten\n", "over\\x0dwritten\n"},
    {"two\r\r\n", "two\\x0d\n"},
    {"end\r", "end\\x0d"},
    {"\x1b[2J\x1b]0;title\x07\n", "\\x1b[2J\\x1b]0;title\\x07\n"},
    {"\b\x7f\v\f\n", "\\x08\\x7f\\x0b\\x0c\n"},
    {"\x9b"
     "2J \xc2\x9b \xe2\x80\xae\n",
     "\\x9b2J \\xc2\\x9b \\xe2\\x80\\xae\n"},
    {"\\x1b\n", "\\x1b\n"},
};

START_TEST(control_characters)
{
    struct console_text text;

    setup(0);
    write_text(texts[_i].written);
    console_flush(&console);
    ck_assert_str_eq(shown, texts[_i].shown);
    text = console_text(&console); /* as it was written */
    ck_assert_uint_eq(text.length, strlen(texts[_i].written));
    ck_assert_mem_eq(text.text, texts[_i].written, text.length);
    console_destroy(&console);
}
END_TEST

/* No byte of the 256 reaches a terminal as it is but these. */
START_TEST(every_byte)
{
    setup(0);
    for (unsigned int value = 0; value < 256; value++) {
        const char byte = (char)value;

        console_write(&console, &byte, 1);
    }
    console_flush(&console);
    for (size_t i = 0; i < shown_length; i++)
        ck_assert((shown[i] >= ' ' && shown[i] <= '~') || shown[i] == '\n' || shown[i] == '\t');
    ck_assert_uint_eq(console_text(&console).length, 256);
    console_destroy(&console);
}
END_TEST

/* A line without an end comes in pieces, and no escape is cut in two. */
START_TEST(long_lines)
{
    setup(0);
    for (unsigned int i = 0; i < 1500; i++)
        write_text(i == 1022 ? "\x1b" : "x");
    ck_assert_uint_eq(calls, 1);
    ck_assert_uint_eq(shown_length, 1022);
    console_flush(&console);
    ck_assert_uint_eq(shown_length, 1503);
    ck_assert_mem_eq(shown + 1022, "\\x1bx", 5);
    console_destroy(&console);
}
END_TEST

START_TEST(cap)
{
    struct console_text text;

    setup(10);
    write_text("123456\n");
    write_text("abcdef\n");
    text = console_text(&console);
    ck_assert_uint_eq(text.length, 10);
    ck_assert_uint_eq(text.dropped, 4);
    ck_assert_mem_eq(text.text, "123456\nabc", 10);
    ck_assert_str_eq(shown, "123456\nabcdef\n"); /* live goes on */
    write_text("x");
    ck_assert_uint_eq(console_text(&console).dropped, 5);
    console_destroy(&console);
}
END_TEST

START_TEST(default_cap)
{
    const size_t size = CONSOLE_CAP / 2 + 1;
    char *bytes = malloc(size);

    memset(bytes, 'z', size);
    console_init(&console, 0, NULL, NULL);
    for (unsigned int i = 0; i < 3; i++)
        console_write(&console, bytes, size);
    console_flush(&console);
    ck_assert_uint_eq(console_text(&console).length, CONSOLE_CAP);
    ck_assert_uint_eq(console_text(&console).dropped, 3 * size - CONSOLE_CAP);
    console_destroy(&console);
    free(bytes);
}
END_TEST

START_TEST(nothing_written)
{
    setup(0);
    console_flush(&console);
    console_write(&console, NULL, 0);
    ck_assert_uint_eq(calls, 0);
    ck_assert_uint_eq(console_text(&console).length, 0);
    ck_assert_ptr_nonnull(console_text(&console).text);
    console_destroy(&console);
}
END_TEST

RUN_CASES("console", 10, ONCE(line_by_line), EACH(control_characters, ELEMENTS(texts)),
          ONCE(every_byte), ONCE(long_lines), ONCE(cap), ONCE(default_cap), ONCE(nothing_written))
