/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINY_COMMON_FORMAT_H
#define TINY_COMMON_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

/*
 * Formats into out, never more than room bytes and without a terminating NUL; returns the number of
 * bytes. Knows %s %c %d %u %x %ld %lu %lx and %%. What does not fit is dropped.
 */
__attribute__((format(printf, 3, 0))) size_t format_line(char *out, size_t room, const char *format,
                                                         va_list arguments);

#endif
