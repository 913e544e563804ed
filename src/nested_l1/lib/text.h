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

struct text text_of(const char *string);

/* Takes the next word from the front; words are separated by spaces. False: there is none. */
bool text_word(struct text *rest, struct text *word);

bool text_is(struct text text, const char *string);

/* True if it starts with prefix; then rest is what follows. */
bool text_skip(struct text text, const char *prefix, struct text *rest);

/* A decimal number and nothing else. */
bool text_number(struct text text, uint64_t *number);

#endif
