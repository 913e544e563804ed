/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_REPORT_TEXT_H
#define VMM_REPORT_TEXT_H

#include <stddef.h>

/*
 * Text that a guest wrote, as UTF-8. Bytes that are not UTF-8 (RFC 3629: overlong forms,
 * surrogates and what lies past U+10FFFF are not) become U+FFFD each, so that JSON stays JSON.
 */

/* The new text, to free(), with *result_length bytes and a NUL behind; NULL: no memory. NULs inside
 * are kept. */
char *report_utf8(const char *text, size_t length, size_t *result_length);

#endif
