/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CLI_JSON_LINES_H
#define VMM_CLI_JSON_LINES_H

#include <jansson.h>

/* The value as indented text with an end of line, for the caller to free; NULL: no memory, or
 * `value` is NULL. It is measured first: where a string has to grow, Jansson's json_dumps() may
 * miss that there was no memory for it, and leave a piece out. */
char *json_lines(const json_t *value);

#endif
