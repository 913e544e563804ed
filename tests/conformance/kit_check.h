/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KIT_CHECK_H
#define KIT_CHECK_H

/*
 * Checks print one line each and count; they are true if they passed.
 *     CHECK(name, condition)       CHECK_EQ(name, got, want)       CHECK_ERROR(name, result, error)
 * want and got are 64-bit; error is of enum mezz_error, not negated. KIT_LABEL names a case of a
 * table: it stands between the group and the name.
 */

#include "kit_machine.h"

struct kit_line {
    unsigned int length;
    char text[240];
};

static inline void kit_put(struct kit_line *line, const char *text)
{
    while (*text != '\0' && line->length < sizeof(line->text))
        line->text[line->length++] = *text++;
}

static inline void kit_put_hex(struct kit_line *line, uint64_t value)
{
    char digits[19];
    unsigned int at = sizeof(digits);

    digits[--at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[value % 16];
        value /= 16;
    } while (value != 0);
    digits[--at] = 'x';
    digits[--at] = '0';
    kit_put(line, digits + at);
}

static inline void kit_show(struct kit_line *line)
{
    kit_put(line, "\n");
    line->text[sizeof(line->text) - 1] = '\n';
    mezz_call(MEZZ_CALL_CONSOLE, 0, kit_address(line->text), line->length);
}

static inline void kit_put_name(struct kit_line *line, bool passed, const char *name)
{
    kit_put(line, passed ? "PASS " : "FAIL ");
    kit_put(line, kit.group);
    kit_put(line, ": ");
    if (kit.label != NULL) {
        kit_put(line, kit.label);
        kit_put(line, ", ");
    }
    kit_put(line, name);
    if (passed)
        kit.passed++;
    else
        kit.failed++;
}

static inline bool kit_check(bool passed, const char *name, const char *condition)
{
    struct kit_line line;

    line.length = 0;
    kit_put_name(&line, passed, name);
    if (!passed) {
        kit_put(&line, ": not ");
        kit_put(&line, condition);
    }
    kit_show(&line);
    return passed;
}

static inline bool kit_check_eq(uint64_t got, uint64_t want, const char *name)
{
    struct kit_line line;

    line.length = 0;
    kit_put_name(&line, got == want, name);
    if (got != want) {
        kit_put(&line, ": got ");
        kit_put_hex(&line, got);
        kit_put(&line, ", want ");
        kit_put_hex(&line, want);
    }
    kit_show(&line);
    return got == want;
}

static inline void kit_note(const char *text)
{
    struct kit_line line;

    line.length = 0;
    kit_put(&line, "NOTE ");
    kit_put(&line, kit.group);
    kit_put(&line, ": ");
    kit_put(&line, text);
    kit_show(&line);
}

#define KIT_LABEL(text)           (kit.label = (text))
#define CHECK(name, condition)    kit_check(condition, name, #condition)
#define CHECK_EQ(name, got, want) kit_check_eq((uint64_t)(got), (uint64_t)(want), name)
#define CHECK_ERROR(name, result, error) \
    kit_check_eq((uint64_t)(result), (uint64_t) - (int64_t)(error), name)

#endif
