/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/report_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT        "\xef\xbf\xbd"
#define REPLACEMENT_LENGTH 3U

/* How many bytes the character at text has; 0: it is none. */
static size_t character_length(const unsigned char *text, size_t left)
{
    static const struct {
        unsigned char mask;
        unsigned char lead;
        uint32_t first;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        uint32_t value = text[0] & (unsigned char)~forms[i].mask;

        if ((text[0] & forms[i].mask) != forms[i].lead)
            continue;
        if (i >= left)
            return 0;
        for (size_t j = 1; j <= i; j++) {
            if ((text[j] & 0xc0) != 0x80)
                return 0;
            value = value << 6 | (text[j] & 0x3f);
        }
        if (value < forms[i].first || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
            return 0;
        return i + 1;
    }
    return 0;
}

char *report_utf8(const char *text, size_t length, size_t *result_length)
{
    char *result = malloc(length * REPLACEMENT_LENGTH + 1);
    size_t used = 0;

    if (result == NULL)
        return NULL;
    while (length > 0) {
        size_t bytes = character_length((const unsigned char *)text, length);

        if (bytes == 0) {
            memcpy(result + used, REPLACEMENT, REPLACEMENT_LENGTH);
            used += REPLACEMENT_LENGTH;
            bytes = 1;
        } else {
            memcpy(result + used, text, bytes);
            used += bytes;
        }
        text += bytes;
        length -= bytes;
    }
    result[used] = '\0';
    *result_length = used;
    return result;
}
