/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOG_SAMPLE_H
#define TESTS_LOG_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "hookguard/log/event_log.h"

/* A small log: a header, four events, a trailer. What goes wrong here fails the test. */
#define SAMPLE_LINES 6
#define SAMPLE_ROOM  8192

struct sample_line {
    size_t at;
    size_t length; /* with the new line */
};

/* Of sample_make(); a test may change them. */
extern char sample_bytes[SAMPLE_ROOM];
extern size_t sample_size;
extern char sample_head[LOG_HASH_DIGITS + 1];
extern struct sample_line sample_line[SAMPLE_LINES];

void sample_make(void);

/* A file in memory; what it has, which must be less than room: returns the bytes read. */
int sample_file(void);
size_t sample_read(int fd, char *to, size_t room);

/* Takes fd. limit: bytes, 0 for none. */
struct event_log *sample_start(int fd, uint64_t limit);
struct log_event sample_event(uint64_t number);

/* What the verifier says of these bytes, due: the last hash as it was noted elsewhere, or NULL;
 * and of a log of these lines of the sample, -1 ends. */
struct log_report sample_verify_head(const char *what, size_t length, const char *due);
struct log_report sample_verify(const char *what, size_t length);
struct log_report sample_verify_lines(const int *numbers);

#endif
