/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/text.h"

/* The first place of c in length bytes, or their end. */
static const char *find(const char *start, uint64_t length, char c)
{
    const char *at = start;
    bool found = false;

    if (length)
        __asm__ volatile("repne scasb"
                         : "+D"(at), "+c"(length), "=@ccz"(found)
                         : "a"(c)
                         : "memory");
    return at - found;
}

struct text text_of(const char *string)
{
    return (struct text){.start = string,
                         .length = (uint64_t)(find(string, UINT64_MAX, 0) - string)};
}

struct text text_until(struct text text, char c)
{
    text.length = (uint64_t)(find(text.start, text.length, c) - text.start);
    return text;
}

bool text_word(struct text *rest, struct text *word)
{
    while (rest->length && *rest->start == ' ')
        text_drop(rest, 1);
    *word = text_until(*rest, ' ');
    text_drop(rest, word->length);
    if (rest->length)
        text_drop(rest, 1);
    return word->length;
}

static bool same(const char *one, const char *other, uint64_t length)
{
    bool equal = true;

    if (length)
        __asm__ volatile("repe cmpsb"
                         : "+S"(one), "+D"(other), "+c"(length), "=@ccz"(equal)
                         :
                         : "memory");
    return equal;
}

bool text_equal(struct text one, struct text other)
{
    return one.length == other.length && same(one.start, other.start, one.length);
}

bool text_skip(struct text text, struct text prefix, struct text *rest)
{
    if (text.length < prefix.length || !same(text.start, prefix.start, prefix.length))
        return false;
    text_drop(&text, prefix.length);
    *rest = text;
    return true;
}

bool text_number(struct text text, uint64_t *number)
{
    uint64_t value = 0;

    if (!text.length || text.length > 18)
        return false;
    for (; text.length; text.start++, text.length--) {
        if (*text.start < '0' || *text.start > '9')
            return false;
        value = value * 10 + (uint64_t)(*text.start - '0');
    }
    *number = value;
    return true;
}
