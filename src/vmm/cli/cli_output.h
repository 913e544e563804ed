/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CLI_OUTPUT_H
#define VMM_CLI_OUTPUT_H

#include <stddef.h>

#include "host/error.h"

/* A file that --json names: it is there whole, or as it was before. "-" is the standard output. */

/* Whether output_write could, before there is anything to write: 0, or a negative errno value with
 * a message. */
int output_check(const char *path, struct error *error);

int output_write(const char *path, const char *text, size_t length, struct error *error);

#endif
