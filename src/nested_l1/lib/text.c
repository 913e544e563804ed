/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/text.h"

struct text text_of(const char *string)
{
    const char *end = string;
    uint64_t rest = UINT64_MAX;

    __asm__ volatile("repne scasb" : "+D"(end), "+c"(rest) : "a"(0) : "memory", "cc");
    return (struct text){.start = string, .length = (uint64_t)(end - string) - 1};
}

bool text_word(struct text *rest, struct text *word)
{
    const char *at = rest->start;
    const char *end = at + rest->length;

    while (at < end && *at == ' ')
        at++;
    word->start = at;
    while (at < end && *at != ' ')
        at++;
    word->length = (uint64_t)(at - word->start);
    while (at < end && *at == ' ')
        at++;
    rest->start = at;
    rest->length = (uint64_t)(end - at);
    return word->length;
}

bool text_is(struct text text, const char *string)
{
    return text_skip(text, string, &text) && !text.length;
}

bool text_skip(struct text text, const char *prefix, struct text *rest)
{
    for (; *prefix; prefix++, text.start++, text.length--)
        if (!text.length || *text.start != *prefix)
            return false;
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
