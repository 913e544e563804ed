/* SPDX-License-Identifier: Apache-2.0 */
#include "host/error.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if (iscntrl((unsigned char)*text))
            *text = '?';
}

int error_set(struct error *error, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    make_printable(error->text);
    return -code;
}

int error_prefix(struct error *error, int code, const char *format, ...)
{
    struct error rest = *error;
    va_list arguments;
    size_t length;

    va_start(arguments, format);
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    make_printable(error->text);
    length = strlen(error->text);
    snprintf(error->text + length, sizeof(error->text) - length, ": %s", rest.text);
    return code;
}
