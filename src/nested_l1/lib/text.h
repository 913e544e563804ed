/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_LIB_TEXT_H
#define L1_LIB_TEXT_H

#include <stdbool.h>
#include <stdint.h>

/* A part of a string: of a command line, mostly. */
struct text {
    const char *start;
    uint64_t length;
};

/* Of a literal, without counting. */
#define TEXT(literal) ((struct text){.start = (literal), .length = sizeof(literal) - 1})

struct text text_of(const char *string);

/* The part before the first c, or all of it. */
struct text text_until(struct text text, char c);

/* Takes the next word from the front; words are separated by spaces. False: there is none. */
bool text_word(struct text *rest, struct text *word);

bool text_equal(struct text one, struct text other);

/* True if it starts with prefix; then rest is what follows. */
bool text_skip(struct text text, struct text prefix, struct text *rest);

static inline void text_drop(struct text *text, uint64_t length)
{
    text->start += length;
    text->length -= length;
}

/* A decimal number and nothing else. */
bool text_number(struct text text, uint64_t *number);

#endif
