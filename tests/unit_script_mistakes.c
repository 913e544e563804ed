/* SPDX-License-Identifier: Apache-2.0 */
/* What a mistake in a stack file says: file, line, and what was expected. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runner.h"
#include "script_stub.h"

static const struct {
    const char *text;
    const char *message; /* behind "t.lua:" */
} mistakes[] = {
    /* Lua's own */
    {"local x = = 1", "1: unexpected symbol near '='"},
    {"\nnothing.at_all()", "2: attempt to index a nil value (global 'nothing')"},
    {"error('mine')", "1: mine"},
    {"\xef\xbb\xbf\nerror('mine')", "2: mine"},
    {"#!/usr/bin/env -S mezz run\nerror('mine')", "2: mine"},
    {"\xef\xbb\xbf#\n\nlocal x = = 1", "3: unexpected symbol near '='"},
    {"\n#!/bin/mezz", "2: unexpected symbol near '#'"},
    {"\x1bLua", "1: is compiled Lua; a stack file is its text"},
    {"\nerror({})", "2: error() with a table in place of a text"},
    {"mezz.stak {}", "1: mezz has no \"stak\"; did you mean \"stack\"?"},
    {"mezz.frobnicate {}", "1: mezz has no \"frobnicate\""},

    /* keys */
    {"mezz.stack { memroy = '64M' }",
     "1: mezz.stack: unknown key \"memroy\"; did you mean \"memory\"?"},
    {"mezz.stack { colour = 'red' }", "1: mezz.stack: unknown key \"colour\"; it knows memory"},
    {"mezz.stack { '64M' }", "1: mezz.stack: a string without a name; it takes named values: "
                             "memory"},
    {"mezz.stack '64M'", "1: mezz.stack: expected named values in braces (memory), got \"64M\""},
    {"mezz.stack { memory = 64 }", "1: mezz.stack: memory: expected a size such as \"64M\" (digits "
                                   "and K, M or G), got 64"},
    {"mezz.stack { memory = '64MB' }", "1: mezz.stack: memory: expected a size such as \"64M\" "
                                       "(digits and K, M or G), got \"64MB\""},
    {"mezz.stack { memory = '3M' }", "1: mezz.stack: memory: 3M is not a multiple of 2M"},
    {"mezz.stack { memory = '1M' }", "1: mezz.stack: memory: 1M is out of range: 2M to 1024G"},
    {"mezz.stack { memory = '99999999999999G' }",
     "1: mezz.stack: memory: expected a size such as \"64M\" (digits and K, M or G), got "
     "\"99999999999999G\""},
    {"mezz.stack {}:l1 {}", "1: stack:l1: image is missing"},
    {"mezz.stack {}:l1()", "1: stack:l1: expected named values in braces (image, memory, cmdline, "
                           "firmware, vcpus), got nothing"},
    {"mezz.stack {}:l1 { image = 7 }",
     "1: stack:l1: image: expected the name of a file, or mezz.image \"NAME\", got 7"},
    {"mezz.stack {}:l1 { image = 'l1.elf', firmware = 'no' }",
     "1: stack:l1: firmware: expected true or false, got \"no\""},
    {"mezz.stack {}:l1 { image = 'l1.elf', vcpus = 3 }",
     "1: stack:l1: vcpus: 3 is out of range: 1 to 2"},
    {"mezz.stack {}:l1 { image = 'l1.elf', vcpus = 1.5 }",
     "1: stack:l1: vcpus: expected a whole number, got 1.5"},
    {"mezz.stack {}:l1 { image = 'l1.elf', vcpus = -1 }",
     "1: stack:l1: vcpus: expected a number that is not negative, got -1"},
    {"mezz.stack {}:l1 { image = 'l1.elf', memory = '4G' }",
     "1: stack:l1: memory: 4G is out of range: 2M to 2G"},
    {"mezz.stack {}:l1 { image = 'l1.elf', cmdline = 'a\\nb' }",
     "1: stack:l1: cmdline: character 2 is not printable ASCII"},
    {"mezz.stack {}:l1 { image = 'l1.elf', cmdline = ('x'):rep(2000) }",
     "1: stack:l1: cmdline: 2000 characters are too long: at most 1023"},
    {"mezz.stack { memory = '32M' }:l1 { image = 'l1.elf', memory = '48M' }",
     "1: stack:l1: memory: more than the stack has"},

    /* objects */
    {"mezz.stack {}.l1 {}", "1: stack:l1: expected a stack before the colon, got table (a dot in "
                            "place of the colon?)"},
    {"local s = mezz.stack {} s.x = 1", "1: stack: its fields cannot be set"},
    {"local s = mezz.stack {} s:l3 {}", "1: stack has no \"l3\"; did you mean \"l1\"?"},
    {"local s = mezz.stack {}\ns:l1 { image = 'l1.elf' }\ns:l1 { image = 'l1.elf' }",
     "3: stack:l1: this stack has its L1 already"},
    {"mezz.stack {}:run()", "1: stack:run: this stack has no L1: stack:l1 { image = ... } adds it"},
    {"local s = mezz.stack {} s:l1 { image = 'l1.elf' } s:run()\ns:run()",
     "2: stack:run: this stack has run already; a new mezz.stack runs again"},
    {"local s = mezz.stack {} local l1 = s:l1 { image = 'l1.elf' } s:run()\nl1:l2 {}",
     "2: l1:l2: this stack has run already; a new mezz.stack runs again"},
    {"local l1 = mezz.stack {}:l1 { image = 'l1.elf' }\nprint(l1.console)",
     "2: l1 has no \"console\" before stack:run"},
    {"local s = mezz.stack {} local l1 = s:l1 { image = 'l1.elf' } s:run()\nl1.console:fnd 'x'",
     "2: console has no \"fnd\"; did you mean \"find\"?"},
    {"local s = mezz.stack {} local l1 = s:l1 { image = 'l1.elf' } s:run()\nprint(l1.consle)",
     "2: l1 has no \"consle\"; did you mean \"console\"?"},
    {"local s = mezz.stack {} local l1 = s:l1 { image = 'l1.elf' } s:run()\nl1.console:find ''",
     "2: console:find: expected a text to look for, got an empty one"},
    {"local s = mezz.stack {} s:l1 { image = 'l1.elf' } local r = s:run()\nprint(r.stat)",
     "2: the result has no \"stat\"; did you mean \"status\"?"},
    {"local s = mezz.stack {} s:l1 { image = 'l1.elf' } s:run { timeout = '10' }",
     "1: stack:run: timeout: expected a time such as \"10s\" or \"500ms\", got \"10\""},
    {"local s = mezz.stack {} s:l1 { image = 'l1.elf' } s:run { timeout = '0s' }",
     "1: stack:run: timeout: 0 ns is out of range: 1ms to 86400s"},

    /* images */
    {"mezz.image 'none.elf'", "1: mezz.image: no file \"none.elf\" in ., images"},
    {"mezz.image '/none.elf'", "1: mezz.image: no file /none.elf"},
    {"mezz.image ''", "1: mezz.image: an empty string is not a file name"},
    {"mezz.image 'a\\0b'",
     "1: mezz.image: a string that is too long or holds NUL is not a file name"},
    {"mezz.image()", "1: mezz.image: expected the name of a file, got nothing"},
    {"mezz.stack {}:l1 { image = 'none.elf' }",
     "1: stack:l1: image: no file \"none.elf\" in ., images"},

    /* expectations */
    {"mezz.expect(true)", "1: mezz.expect: expected a value and a text that says what it shows"},
    {"mezz.expect(true, 7)", "1: mezz.expect: expected a string, got 7"},
};

START_TEST(mistake)
{
    struct stub stub = {.report = {.last_words = ""}};
    struct error error;
    int code = run_text(&stub, NULL, mistakes[_i].text, &error);
    size_t prefix = strlen(FILE_NAME ":");

    ck_assert_msg(strncmp(error.text, FILE_NAME ":", prefix) == 0, "%s", error.text);
    ck_assert_str_eq(error.text + prefix, mistakes[_i].message);
    ck_assert_int_eq(code, -EINVAL);
}
END_TEST

/* What follows l1: as in "local l1 = ... l1:l2 { TEXT }". */
static const struct {
    const char *text;
    const char *message;
} l2_mistakes[] = {
    {"image = 'os.elf', memory = '16M'", "l1:l2: name is missing"},
    {"name = 'a', memory = '16M'", "l1:l2: image is missing"},
    {"name = 'a', image = 'os.elf'", "l1:l2: memory is missing"},
    {"name = '', image = 'os.elf', memory = '16M'",
     "l1:l2: name: expected a name of letters, digits, '-', '_' and '.', got \"\""},
    {"name = 'a b', image = 'os.elf', memory = '16M'",
     "l1:l2: name: expected a name of letters, digits, '-', '_' and '.', got \"a b\""},
    {"name = ('a'):rep(32), image = 'os.elf', memory = '16M'",
     "l1:l2: name: 32 characters are too long: at most 31"},
    {"name = 'first', image = 'os.elf', memory = '16M'",
     "l1:l2: name: this L1 has an L2 \"first\" already"},
    {"name = 'a', image = 'os.elf', memory = '32M'",
     "l1:l2: memory: the L2s need 48M of L1's memory, which is 48M and has to hold L1, too"},
    {"name = 'a', image = 'os.elf', memory = '16M', engine = 'fast'",
     "l1:l2: engine: expected \"flip\", \"remap\" or \"slots\", got \"fast\""},
    {"name = 'a', image = 'os.elf', memory = '16M', programs = 'hello.elf'",
     "l1:l2: programs: expected a list in braces, got \"hello.elf\""},
    {"name = 'a', image = 'os.elf', memory = '16M', programs = { x = 'hello.elf' }",
     "l1:l2: programs: expected a list such as { \"hello.elf\" }, without keys and holes"},
    {"name = 'a', image = 'os.elf', memory = '16M', programs = { 'hello.elf', 'no.elf x' }",
     "l1:l2: programs[2]: no file \"no.elf\" in ., images"},
    {"name = 'a', image = 'os.elf', memory = '16M', programs = { 7 }",
     "l1:l2: programs[1]: expected a string, got 7"},
    {"name = 'a', image = 'os.elf', memory = '16M', programs = { ' x' }",
     "l1:l2: programs[1]: \" x\" begins with a space"},
    {"name = 'a', image = 'os.elf', memory = '16M', programs = { { file = 'x' } }",
     "l1:l2: programs[1]: unknown key \"file\"; it knows image, args"},
};

START_TEST(l2_mistake)
{
    struct stub stub = {.report = {.last_words = ""}};
    struct error error;
    char text[512];

    snprintf(text, sizeof(text),
             "local l1 = mezz.stack {}:l1 { image = 'l1.elf', memory = '48M' }\n"
             "l1:l2 { name = 'first', image = 'os.elf', memory = '16M' }\n"
             "l1:l2 { %s }",
             l2_mistakes[_i].text);
    ck_assert_int_eq(run_text(&stub, NULL, text, &error), -EINVAL);
    ck_assert_int_eq(strncmp(error.text, FILE_NAME ":3: ", 9), 0);
    ck_assert_str_eq(error.text + 9, l2_mistakes[_i].message);
}
END_TEST

/* Of a long path Lua tells the end, here with a colon in it. */
#define LONG_NAME "a-directory-or-so-with-a-name-that-is-longer-than-what-lua-shows:of:it.lua"

START_TEST(long_name)
{
    static const char *const texts[] = {"\nerror('mine')", "\nlocal x = = 1"};
    static const char *const messages[] = {"2: mine", "2: unexpected symbol near '='"};
    struct stub stub = {.calls = 0};
    const struct script_host host = stub_host(&stub);
    const struct script_config config = {.path = LONG_NAME, .host = &host};
    struct script *script;
    struct error error;

    write_file(texts[_i], strlen(texts[_i]));
    ck_assert_int_eq(rename(FILE_NAME, LONG_NAME), 0);
    ck_assert_int_eq(script_create(&script, &config, &error), 0);
    ck_assert_int_eq(script_execute(script, &error), -EINVAL);
    script_destroy(script);
    ck_assert_int_eq(unlink(LONG_NAME), 0);
    ck_assert_int_eq(strncmp(error.text, LONG_NAME ":", strlen(LONG_NAME ":")), 0);
    ck_assert_str_eq(error.text + strlen(LONG_NAME ":"), messages[_i]);
}
END_TEST

static int run_all(void)
{
    const struct runner_case cases[] = {
        EACH(mistake, ELEMENTS(mistakes)),
        EACH(l2_mistake, ELEMENTS(l2_mistakes)),
        EACH(long_name, 2),
    };

    return run_cases("script_mistakes", 30, cases, ELEMENTS(cases));
}

int main(void)
{
    int status;

    enter_directory();
    status = run_all();
    leave_directory();
    return status;
}
