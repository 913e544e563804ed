/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_LOG_RECORD_H
#define HOOKGUARD_LOG_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hookguard/log/event_log.h"

/* Between event_log.c, which writes records, and event_log_verify.c, which reads them. */

/* What a line ends in: ,"hash":"64 digits"} and a new line. */
#define LOG_TAIL_MARK ",\"hash\":\""
#define LOG_TAIL_SIZE (sizeof(LOG_TAIL_MARK) - 1 + LOG_HASH_DIGITS + 2)

#define LOG_NO_HASH   "0000000000000000000000000000000000000000000000000000000000000000"

/* SHA-256 in lower-case digits, with a NUL. */
void log_hash(const char *bytes, size_t length, char digits[LOG_HASH_DIGITS + 1]);

/* One line that is being made. What does not fit sets `full` and is left out. */
struct log_line {
    char text[LOG_RECORD_LIMIT];
    size_t length;
    bool full;
};

/* {"seq":SEQ,"prev":"PREV","type":"TYPE","time":TIME */
void log_line_begin(struct log_line *line, uint64_t sequence, const char *previous,
                    const char *type, uint64_t time_ns);
void log_line_number(struct log_line *line, const char *name, uint64_t number);
void log_line_address(struct log_line *line, const char *name, uint64_t address);
/* NULL: nothing. */
void log_line_text(struct log_line *line, const char *name, const char *text);
/* Appends the tail and the new line; `hash` is the record's. False if something did not fit. */
bool log_line_end(struct log_line *line, char hash[LOG_HASH_DIGITS + 1]);

#endif
