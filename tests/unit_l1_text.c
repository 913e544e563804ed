/* SPDX-License-Identifier: Apache-2.0 */
/* L1's strings and its arena. */
#include <string.h>

#include "lib/arena.h"
#include "lib/text.h"
#include "runner.h"

static bool is(struct text text, const char *string)
{
    return text.length == strlen(string) && memcmp(text.start, string, text.length) == 0;
}

START_TEST(lengths)
{
    static const char with_nul[] = "one\0two";

    ck_assert(is(text_of(""), ""));
    ck_assert(is(text_of("x"), "x"));
    ck_assert(is(text_of(with_nul), "one"));
    ck_assert(is(TEXT("literal"), "literal"));
    ck_assert(is(text_until(TEXT("a=b=c"), '='), "a"));
    ck_assert(is(text_until(TEXT("=b"), '='), ""));
    ck_assert(is(text_until(TEXT("abc"), '='), "abc"));
    ck_assert(is(text_until(TEXT("abc="), '='), "abc"));
    ck_assert(is(text_until(TEXT(""), '='), ""));
}
END_TEST

static const struct {
    const char *line;
    const char *words[4]; /* NULL ends */
} lines[] = {
    {"", {NULL}},
    {"   ", {NULL}},
    {"one", {"one", NULL}},
    {" one  two ", {"one", "two", NULL}},
    {"a b c", {"a", "b", "c", NULL}},
};

START_TEST(words)
{
    struct text rest = text_of(lines[_i].line);
    struct text word;

    for (int i = 0; lines[_i].words[i] != NULL; i++) {
        ck_assert(text_word(&rest, &word));
        ck_assert(is(word, lines[_i].words[i]));
    }
    ck_assert(!text_word(&rest, &word));
    ck_assert(!text_word(&rest, &word));
}
END_TEST

START_TEST(comparing)
{
    struct text rest;

    ck_assert(text_equal(TEXT(""), TEXT("")));
    ck_assert(text_equal(TEXT("same"), TEXT("same")));
    ck_assert(!text_equal(TEXT("same"), TEXT("sane")));
    ck_assert(!text_equal(TEXT("same"), TEXT("sam")));
    ck_assert(!text_equal(TEXT("sam"), TEXT("same")));
    ck_assert(text_skip(TEXT("key=value"), TEXT("key="), &rest));
    ck_assert(is(rest, "value"));
    ck_assert(text_skip(TEXT("key="), TEXT("key="), &rest));
    ck_assert(is(rest, ""));
    ck_assert(text_skip(TEXT("any"), TEXT(""), &rest));
    ck_assert(is(rest, "any"));
    ck_assert(!text_skip(TEXT("kez=value"), TEXT("key="), &rest));
    ck_assert(!text_skip(TEXT("key"), TEXT("key="), &rest));
}
END_TEST

static const struct {
    const char *text;
    bool good;
    uint64_t value;
} numbers[] = {
    {"0", true, 0},
    {"7", true, 7},
    {"0042", true, 42},
    {"999999999999999999", true, 999999999999999999ULL},
    {"1000000000000000000", false, 0},
    {"", false, 0},
    {"-1", false, 0},
    {"1 ", false, 0},
    {"12k", false, 0},
    {"0x10", false, 0},
};

START_TEST(decimal)
{
    uint64_t value = 12345;

    ck_assert_int_eq(text_number(text_of(numbers[_i].text), &value), numbers[_i].good);
    ck_assert_uint_eq(value, numbers[_i].good ? numbers[_i].value : 12345);
}
END_TEST

START_TEST(arena_gives_until_its_end)
{
    struct arena arena = {.next = 0x1001, .end = 0x4000};

    ck_assert_uint_eq(arena_take(&arena, 16, 16), 0x1010);
    ck_assert_uint_eq(arena_take(&arena, 1, 1), 0x1020);
    ck_assert_uint_eq(arena_take(&arena, 0x1000, 0x1000), 0x2000);
    ck_assert_uint_eq(arena_take(&arena, 0x1001, 0x1000), 0);
    ck_assert_uint_eq(arena_take(&arena, 0x1000, 0x1000), 0x3000);
    ck_assert_uint_eq(arena_take(&arena, 1, 1), 0);
    ck_assert_uint_eq(arena_take(&arena, 0, 1), 0x4000);
    ck_assert_uint_eq(arena_take(&arena, 0, 0x10000), 0);
}
END_TEST

/* A refusal takes nothing, and no sum overflows. */
START_TEST(arena_refuses)
{
    struct arena arena = {.next = 0x1000, .end = 0x2000};

    ck_assert_uint_eq(arena_take(&arena, UINT64_MAX, 1), 0);
    ck_assert_uint_eq(arena_take(&arena, UINT64_MAX - 0xfff, 16), 0);
    ck_assert_uint_eq(arena_take(&arena, 1, 1ULL << 63), 0);
    ck_assert_uint_eq(arena_take(&arena, 0x1000, 16), 0x1000);
    arena = (struct arena){.next = UINT64_MAX - 8, .end = UINT64_MAX};
    ck_assert_uint_eq(arena_take(&arena, 1, 4096), 0);
}
END_TEST

RUN_CASES("l1_text", 30, ONCE(lengths), EACH(words, ELEMENTS(lines)), ONCE(comparing),
          EACH(decimal, ELEMENTS(numbers)), ONCE(arena_gives_until_its_end), ONCE(arena_refuses))
