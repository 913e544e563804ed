/* SPDX-License-Identifier: Apache-2.0 */
/* The hash-chained log: every change to it is found. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log_sample.h"
#include "runner.h"

/* Each bit of each byte. */
START_TEST(flipped)
{
    sample_make();
    for (size_t i = 0; i < sample_size; i++)
        for (unsigned int bit = 0; bit < 8; bit++) {
            struct log_report report;
            size_t at;

            sample_bytes[i] = (char)(sample_bytes[i] ^ (1 << bit));
            report = sample_verify(sample_bytes, sample_size);
            sample_bytes[i] = (char)(sample_bytes[i] ^ (1 << bit));
            at = sample_line[report.line - 1].at;
            ck_assert_msg(report.verdict != LOG_WHOLE && report.verdict != LOG_NOT_A_LOG,
                          "byte %zu bit %u: verdict %d", i, bit, report.verdict);
            ck_assert_msg(i >= at && i < at + sample_line[report.line - 1].length,
                          "byte %zu bit %u: found in line %zu", i, bit, (size_t)report.line);
        }
}
END_TEST

START_TEST(removed_byte)
{
    char text[sizeof(sample_bytes)];

    sample_make();
    for (size_t i = 0; i < sample_size; i++) {
        memcpy(text, sample_bytes, i);
        memcpy(text + i, sample_bytes + i + 1, sample_size - i - 1);
        ck_assert_int_ne(sample_verify(text, sample_size - 1).verdict, LOG_WHOLE);
    }
}
END_TEST

START_TEST(truncated)
{
    sample_make();
    for (size_t i = 0; i < sample_size; i++) {
        struct log_report report = sample_verify(sample_bytes, i);
        enum log_verdict due = i == 0 ? LOG_NOT_A_LOG : LOG_CUT;

        for (size_t n = 0; n < SAMPLE_LINES; n++)
            if (i == sample_line[n].at + sample_line[n].length)
                due = LOG_NOT_CLOSED;
        ck_assert_msg(report.verdict == due, "%zu bytes: %d", i, report.verdict);
    }
}
END_TEST

START_TEST(deleted_line)
{
    int numbers[SAMPLE_LINES];
    size_t n = 0;

    sample_make();
    for (int i = 0; i < SAMPLE_LINES; i++)
        if (i != _i)
            numbers[n++] = i;
    numbers[n] = -1;
    ck_assert_int_eq(sample_verify_lines(numbers).verdict,
                     _i == SAMPLE_LINES - 1 ? LOG_NOT_CLOSED : LOG_ORDER);
    ck_assert_uint_eq(sample_verify_lines(numbers).records, (unsigned int)_i);
}
END_TEST

START_TEST(doubled_line)
{
    int numbers[SAMPLE_LINES + 2];
    size_t n = 0;

    sample_make();
    for (int i = 0; i < SAMPLE_LINES; i++) {
        numbers[n++] = i;
        if (i == _i)
            numbers[n++] = i;
    }
    numbers[n] = -1;
    ck_assert_int_eq(sample_verify_lines(numbers).verdict,
                     _i == SAMPLE_LINES - 1 ? LOG_BEHIND_END : LOG_ORDER);
}
END_TEST

START_TEST(swapped_lines)
{
    int numbers[SAMPLE_LINES + 1] = {0, 1, 2, 3, 4, 5, -1};

    sample_make();
    numbers[_i] = _i + 1;
    numbers[_i + 1] = _i;
    ck_assert_int_eq(sample_verify_lines(numbers).verdict, LOG_ORDER);
    ck_assert_uint_eq(sample_verify_lines(numbers).line, (unsigned int)_i + 1);
}
END_TEST

/* Records that are right in themselves, from another log. */
START_TEST(foreign_records)
{
    char other[sizeof(sample_bytes)];
    char text[sizeof(sample_bytes)];
    size_t at;
    struct event_log *log;
    struct error error;
    struct log_event event = sample_event(7);
    int fd = sample_file();

    log = sample_start(dup(fd), 0);
    for (int i = 1; i < SAMPLE_LINES - 1; i++)
        ck_assert_int_eq(event_log_append(log, &event), 0);
    ck_assert_int_eq(event_log_close(log, 99, NULL, &error), 0);
    sample_read(fd, other, sizeof(other));
    close(fd);
    sample_make();
    /* Its first three records, then ours from the fourth on. */
    at = 0;
    for (int i = 0; i < 3; i++)
        at = (size_t)(strchr(other + at, '\n') - other) + 1;
    memcpy(text, other, at);
    memcpy(text + at, sample_bytes + sample_line[3].at, sample_size - sample_line[3].at);
    ck_assert_int_eq(sample_verify(text, at + sample_size - sample_line[3].at).verdict, LOG_CHAIN);
    ck_assert_uint_eq(sample_verify(text, at + sample_size - sample_line[3].at).line, 4);
}
END_TEST

/* A log that was made anew is whole; only the hash that was noted elsewhere tells. */
START_TEST(another_head)
{
    char due[LOG_HASH_DIGITS + 1];

    sample_make();
    memcpy(due, sample_head, sizeof(due));
    due[0] = due[0] == 'a' ? 'b' : 'a';
    ck_assert_int_eq(sample_verify_head(sample_bytes, sample_size, due).verdict, LOG_OTHER_HEAD);
}
END_TEST

START_TEST(no_log)
{
    static const char *const texts[] = {"", "\n", "hello\n", "{}\n", "{\"seq\":1}\n", "\177ELF"};

    for (size_t i = 0; i < ELEMENTS(texts); i++)
        ck_assert_msg(sample_verify(texts[i], strlen(texts[i])).verdict == LOG_NOT_A_LOG,
                      "text %zu", i);
}
END_TEST

START_TEST(longer_than_a_record)
{
    static char text[3 * LOG_RECORD_LIMIT];
    size_t length;

    sample_make();
    length = sample_line[0].length;
    memcpy(text, sample_bytes, length);
    memset(text + length, 'x', sizeof(text) - length);
    ck_assert_int_eq(sample_verify(text, sizeof(text)).verdict, LOG_EDITED);
    ck_assert_uint_eq(sample_verify(text, sizeof(text)).line, 2);
}
END_TEST

RUN_CASES("log_verify", 60, ONCE(flipped), ONCE(removed_byte), ONCE(truncated),
          EACH(deleted_line, SAMPLE_LINES), EACH(doubled_line, SAMPLE_LINES),
          EACH(swapped_lines, SAMPLE_LINES - 1), ONCE(foreign_records), ONCE(another_head),
          ONCE(no_log), ONCE(longer_than_a_record))
