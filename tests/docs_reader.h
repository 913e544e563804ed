/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_DOCS_READER_H
#define TESTS_DOCS_READER_H

#include <stdbool.h>
#include <stddef.h>

/* For tests that hold the documentation against the tree. */

/* A file of the source tree, with NUL behind it, to be freed; NULL: it is not here. */
char *read_source(const char *name);

/* The headers of the interface, include/mezz/NAME.h. */
#define ABI_HEADERS 10U
extern const char *const abi_headers[ABI_HEADERS];
char *read_abi_header(size_t i);

bool is_word(char c);
/* Names for the headers' own use: include guards, ends of enumerations, static assertions. */
bool is_internal(const char *word, size_t length);

/* Why these tests cannot run, or NULL. */
const char *docs_obstacle(void);

#endif
