/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <stddef.h>

#include "vmm/report.h"

/*
 * What one level wrote: the first CONSOLE_CAP bytes are kept as they are, for the report; all of it
 * is shown live, line by line, in a form that cannot play with a terminal.
 *
 * Live: printable ASCII, \n and \t as they are; \r before \n is left out; every other byte, also
 * those of UTF-8, as \xNN. A line that grows past CONSOLE_LINE bytes is shown in pieces.
 */
#define CONSOLE_CAP  (1UL << 20)
#define CONSOLE_LINE 1024U

/* text: a line with its \n, or a piece without; not ended by NUL. */
typedef void console_live(void *context, const char *text, size_t length);

struct console {
    char *text;
    size_t length;
    size_t capacity;
    size_t cap;
    size_t dropped; /* bytes beyond the cap, or that the host had no memory for */
    console_live *live;
    void *context;
    char line[CONSOLE_LINE];
    size_t line_length;
    int carriage_return; /* 1: a \r waits for what follows it */
};

/* cap: in bytes, 0: CONSOLE_CAP. live: NULL: not shown. */
void console_init(struct console *console, size_t cap, console_live *live, void *context);

void console_write(struct console *console, const char *text, size_t length);

/* console_write as uart16550's sink: context is the struct console. */
void console_sink(void *context, const char *text, size_t length);

/* Shows what is left of an unfinished line. */
void console_flush(struct console *console);

/* Valid until the next write or the end of the console. */
struct console_text console_text(const struct console *console);

void console_destroy(struct console *console);

#endif
