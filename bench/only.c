/* SPDX-License-Identifier: Apache-2.0 */
#include "only.h"

#include <string.h>

bool only_word_asks(const char *word, const char *row)
{
    const size_t length = strlen(word);

    return strncmp(row, word, length) == 0 && (row[length] == '\0' || row[length] == '.');
}

bool only_asks(const struct cli_words *only, const char *row)
{
    for (size_t i = 0; i < only->count; i++)
        if (only_word_asks(only->word[i], row))
            return true;
    return only->count == 0;
}
