/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/json_lines.h"

#include <stdlib.h>

char *json_lines(const json_t *value)
{
    const size_t length = value == NULL ? 0 : json_dumpb(value, NULL, 0, JSON_INDENT(2));
    char *text = length == 0 ? NULL : malloc(length + 2);

    if (text == NULL)
        return NULL;
    if (json_dumpb(value, text, length, JSON_INDENT(2)) != length) {
        free(text);
        return NULL;
    }
    text[length] = '\n';
    text[length + 1] = '\0';
    return text;
}
