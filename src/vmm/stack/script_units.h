/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_SCRIPT_UNITS_H
#define VMM_SCRIPT_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How people write sizes and times: digits and a unit, nothing else ("64M", "10s"). */

/* K, M and G are 2 to the 10, 20 and 30. False when it is not a size or does not fit. */
bool script_parse_size(const char *text, uint64_t *bytes);

/* ms and s. False when it is not a time or does not fit. */
bool script_parse_duration(const char *text, uint64_t *nanoseconds);

/* Writes a size as script_parse_size reads it, or in bytes. */
void script_format_size(char *text, size_t length, uint64_t bytes);
void script_format_duration(char *text, size_t length, uint64_t nanoseconds);

/* The name that was probably meant, or NULL. name(context, i) gives the candidates, NULL ends. */
const char *script_did_you_mean(const char *name, const char *(*candidate)(const void *, size_t),
                                const void *context);

#endif
