/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_ERROR_H
#define HOST_ERROR_H

#include <stddef.h>

/*
 * A failure that a person reads: one line that names the file, the field or the call. Functions
 * that can fail in a way worth explaining take a `struct error *` and return a negative errno
 * value.
 */
struct error {
    char text[512];
};

/* Writes the message and returns -code. code > 0. Control characters, which may come from a guest's
 * or an image's strings, become '?'. */
int error_set(struct error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the message: who asked for what failed. Returns code as it is. */
int error_prefix(struct error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
