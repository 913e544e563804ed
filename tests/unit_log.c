/* SPDX-License-Identifier: Apache-2.0 */
/* The hash-chained log: what is written, and that every change to it is found. */
#include "hookguard/event_log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner.h"

#define LINES 6 /* header, 4 events, trailer */

static char bytes[8192];
static size_t size;
static char head[LOG_HASH_DIGITS + 1];
static struct {
    size_t at;
    size_t length; /* with the new line */
} line[LINES];

static struct event_log *start(int fd, uint64_t limit)
{
    const struct event_log_config config = {"test.log", "unit_log", limit};
    struct error error;
    struct event_log *log = NULL;

    ck_assert_msg(event_log_start(&log, fd, &config, &error) == 0, "%s", error.text);
    return log;
}

static struct log_event event_number(uint64_t number)
{
    return (struct log_event){.time_ns = number,
                              .level = 2,
                              .l2 = "tiny",
                              .to = 1,
                              .rip = 0x401000 + number,
                              .symbol = "sign",
                              .reason = "entry",
                              .verdict = "switch"};
}

static size_t contents(int fd, char *to, size_t room)
{
    ssize_t length = pread(fd, to, room, 0);

    ck_assert_int_ge(length, 0);
    ck_assert_uint_lt((size_t)length, room);
    return (size_t)length;
}

static int new_file(void)
{
    int fd = memfd_create("log", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    return fd;
}

/* A small log in `bytes`. */
static void make(void)
{
    int fd = new_file();
    struct event_log *log = start(dup(fd), 0);
    struct error error;

    for (uint64_t i = 1; i < LINES - 1; i++) {
        struct log_event event = event_number(i);

        ck_assert_int_eq(event_log_append(log, &event), 0);
    }
    ck_assert_int_eq(event_log_close(log, 99, head, &error), 0);
    size = contents(fd, bytes, sizeof(bytes));
    close(fd);
    for (size_t i = 0, at = 0; i < LINES; i++) {
        const char *end = memchr(bytes + at, '\n', size - at);

        ck_assert_ptr_nonnull(end);
        line[i].at = at;
        line[i].length = (size_t)(end - (bytes + at)) + 1;
        at += line[i].length;
    }
}

static struct log_report check_head(const char *what, size_t length, const char *due)
{
    int fd = new_file();
    struct log_report report;
    FILE *file;

    ck_assert_int_eq(write(fd, what, length), (ssize_t)length);
    lseek(fd, 0, SEEK_SET);
    file = fdopen(fd, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(event_log_verify(file, due, &report), 0);
    fclose(file);
    return report;
}

static struct log_report check_bytes(const char *what, size_t length)
{
    return check_head(what, length, NULL);
}

/* A log of these lines, -1 ends. */
static struct log_report check_lines(const int *numbers)
{
    char text[sizeof(bytes)];
    size_t length = 0;

    for (; *numbers >= 0; numbers++) {
        memcpy(text + length, bytes + line[*numbers].at, line[*numbers].length);
        length += line[*numbers].length;
    }
    return check_bytes(text, length);
}

START_TEST(whole)
{
    struct log_report report;
    char text[256];

    make();
    report = check_head(bytes, size, head);
    ck_assert_int_eq(report.verdict, LOG_WHOLE);
    ck_assert_uint_eq(report.records, LINES);
    ck_assert_uint_eq(report.lost, 0);
    ck_assert_str_eq(report.head, head);
    event_log_explain(&report, text, sizeof(text));
    ck_assert_ptr_nonnull(strstr(text, "whole: 6 records, 0 events lost"));
}
END_TEST

START_TEST(lines_are_json)
{
    make();
    for (size_t i = 0; i < LINES; i++) {
        json_error_t error;
        json_t *record = json_loadb(bytes + line[i].at, line[i].length, 0, &error);

        ck_assert_msg(record != NULL, "line %zu: %s", i, error.text);
        ck_assert_int_eq(json_integer_value(json_object_get(record, "seq")), (json_int_t)i);
        ck_assert_uint_eq(json_string_length(json_object_get(record, "hash")), LOG_HASH_DIGITS);
        if (i == 2)
            ck_assert_str_eq(json_string_value(json_object_get(record, "rip")), "0x401002");
        json_decref(record);
    }
}
END_TEST

/* What a hostile guest calls itself, and numbers that JSON readers would round. */
START_TEST(escapes)
{
    static char text[300];
    const struct log_field more[] = {
        {"path", "a\"b\\c\n\x7f\xff", 0}, {"big", NULL, UINT64_MAX}, {"exact", NULL, 1ULL << 53}};
    struct log_event event = {.l2 = text, .rip = UINT64_MAX, .more = more, .more_count = 3};
    int fd = new_file();
    struct event_log *log = start(dup(fd), 0);
    struct error error;
    char *second;
    json_t *record;

    memset(text, 'x', sizeof(text) - 1);
    ck_assert_int_eq(event_log_append(log, &event), 0);
    ck_assert_int_eq(event_log_close(log, 1, NULL, &error), 0);
    size = contents(fd, bytes, sizeof(bytes));
    close(fd);
    second = strchr(bytes, '\n') + 1;
    record = json_loads(second, JSON_DISABLE_EOF_CHECK, NULL);
    ck_assert_ptr_nonnull(record);
    ck_assert_str_eq(json_string_value(json_object_get(record, "path")),
                     "a\"b\\c\n\x7f\xc3\xbf"); /* U+00FF */
    ck_assert_str_eq(json_string_value(json_object_get(record, "big")), "18446744073709551615");
    ck_assert_int_eq(json_integer_value(json_object_get(record, "exact")), 1LL << 53);
    ck_assert_str_eq(json_string_value(json_object_get(record, "rip")), "0xffffffffffffffff");
    ck_assert_uint_eq(json_string_length(json_object_get(record, "l2")), LOG_TEXT_LIMIT + 3);
    ck_assert_ptr_null(json_object_get(record, "symbol"));
    json_decref(record);
    ck_assert_int_eq(check_bytes(bytes, size).verdict, LOG_WHOLE);
}
END_TEST

/* All strings as long and as awkward as they may be still make a record. */
START_TEST(largest_record)
{
    static char text[LOG_TEXT_LIMIT + 2];
    struct log_field more[LOG_MORE_LIMIT + 1];
    struct log_event event = {UINT64_MAX, 2,    text, UINT32_MAX, UINT32_MAX, UINT64_MAX,
                              text,       text, text, text,       more,       LOG_MORE_LIMIT};
    struct event_log *log = start(new_file(), 0);
    struct error error;

    memset(text, 1, LOG_TEXT_LIMIT + 1);
    for (size_t i = 0; i <= LOG_MORE_LIMIT; i++)
        more[i] = (struct log_field){"a_name_that_is_rather_long", text, 0};
    ck_assert_int_eq(event_log_append(log, &event), 0);
    event.more_count++;
    ck_assert_int_eq(event_log_append(log, &event), -EMSGSIZE);
    ck_assert_uint_eq(event_log_lost(log), 1);
    ck_assert_int_lt(event_log_close(log, 1, NULL, &error), 0);
}
END_TEST

/* Each bit of each byte. */
START_TEST(flipped)
{
    make();
    for (size_t i = 0; i < size; i++)
        for (unsigned int bit = 0; bit < 8; bit++) {
            struct log_report report;
            size_t at;

            bytes[i] = (char)(bytes[i] ^ (1 << bit));
            report = check_bytes(bytes, size);
            bytes[i] = (char)(bytes[i] ^ (1 << bit));
            at = line[report.line - 1].at;
            ck_assert_msg(report.verdict != LOG_WHOLE && report.verdict != LOG_NOT_A_LOG,
                          "byte %zu bit %u: verdict %d", i, bit, report.verdict);
            ck_assert_msg(i >= at && i < at + line[report.line - 1].length,
                          "byte %zu bit %u: found in line %zu", i, bit, (size_t)report.line);
        }
}
END_TEST

START_TEST(removed_byte)
{
    char text[sizeof(bytes)];

    make();
    for (size_t i = 0; i < size; i++) {
        memcpy(text, bytes, i);
        memcpy(text + i, bytes + i + 1, size - i - 1);
        ck_assert_int_ne(check_bytes(text, size - 1).verdict, LOG_WHOLE);
    }
}
END_TEST

START_TEST(truncated)
{
    make();
    for (size_t i = 0; i < size; i++) {
        struct log_report report = check_bytes(bytes, i);
        enum log_verdict due = i == 0 ? LOG_NOT_A_LOG : LOG_CUT;

        for (size_t n = 0; n < LINES; n++)
            if (i == line[n].at + line[n].length)
                due = LOG_NOT_CLOSED;
        ck_assert_msg(report.verdict == due, "%zu bytes: %d", i, report.verdict);
    }
}
END_TEST

START_TEST(deleted_line)
{
    int numbers[LINES];
    size_t n = 0;

    make();
    for (int i = 0; i < LINES; i++)
        if (i != _i)
            numbers[n++] = i;
    numbers[n] = -1;
    ck_assert_int_eq(check_lines(numbers).verdict, _i == LINES - 1 ? LOG_NOT_CLOSED : LOG_ORDER);
    ck_assert_uint_eq(check_lines(numbers).records, (unsigned int)_i);
}
END_TEST

START_TEST(doubled_line)
{
    int numbers[LINES + 2];
    size_t n = 0;

    make();
    for (int i = 0; i < LINES; i++) {
        numbers[n++] = i;
        if (i == _i)
            numbers[n++] = i;
    }
    numbers[n] = -1;
    ck_assert_int_eq(check_lines(numbers).verdict, _i == LINES - 1 ? LOG_BEHIND_END : LOG_ORDER);
}
END_TEST

START_TEST(swapped_lines)
{
    int numbers[LINES + 1] = {0, 1, 2, 3, 4, 5, -1};

    make();
    numbers[_i] = _i + 1;
    numbers[_i + 1] = _i;
    ck_assert_int_eq(check_lines(numbers).verdict, LOG_ORDER);
    ck_assert_uint_eq(check_lines(numbers).line, (unsigned int)_i + 1);
}
END_TEST

/* Records that are right in themselves, from another log. */
START_TEST(foreign_records)
{
    char other[sizeof(bytes)];
    char text[sizeof(bytes)];
    size_t at;
    struct event_log *log;
    struct error error;
    struct log_event event = event_number(7);
    int fd = new_file();

    log = start(dup(fd), 0);
    for (int i = 1; i < LINES - 1; i++)
        ck_assert_int_eq(event_log_append(log, &event), 0);
    ck_assert_int_eq(event_log_close(log, 99, NULL, &error), 0);
    contents(fd, other, sizeof(other));
    close(fd);
    make();
    /* Its first three records, then ours from the fourth on. */
    at = 0;
    for (int i = 0; i < 3; i++)
        at = (size_t)(strchr(other + at, '\n') - other) + 1;
    memcpy(text, other, at);
    memcpy(text + at, bytes + line[3].at, size - line[3].at);
    ck_assert_int_eq(check_bytes(text, at + size - line[3].at).verdict, LOG_CHAIN);
    ck_assert_uint_eq(check_bytes(text, at + size - line[3].at).line, 4);
}
END_TEST

/* A log that was made anew is whole; only the hash that was noted elsewhere tells. */
START_TEST(another_head)
{
    char due[LOG_HASH_DIGITS + 1];

    make();
    memcpy(due, head, sizeof(due));
    due[0] = due[0] == 'a' ? 'b' : 'a';
    ck_assert_int_eq(check_head(bytes, size, due).verdict, LOG_OTHER_HEAD);
}
END_TEST

START_TEST(no_log)
{
    static const char *const texts[] = {"", "\n", "hello\n", "{}\n", "{\"seq\":1}\n", "\177ELF"};

    for (size_t i = 0; i < ELEMENTS(texts); i++)
        ck_assert_msg(check_bytes(texts[i], strlen(texts[i])).verdict == LOG_NOT_A_LOG, "text %zu",
                      i);
}
END_TEST

START_TEST(longer_than_a_record)
{
    static char text[3 * LOG_RECORD_LIMIT];
    size_t length;

    make();
    length = line[0].length;
    memcpy(text, bytes, length);
    memset(text + length, 'x', sizeof(text) - length);
    ck_assert_int_eq(check_bytes(text, sizeof(text)).verdict, LOG_EDITED);
    ck_assert_uint_eq(check_bytes(text, sizeof(text)).line, 2);
}
END_TEST

/* The disk is full at the header, or later. */
START_TEST(full_disk)
{
    const struct event_log_config config = {"test.log", "unit_log", 0};
    struct event_log *log = NULL;
    struct error error;

    ck_assert_int_eq(event_log_start(&log, open("/dev/full", O_WRONLY), &config, &error), -ENOSPC);
    ck_assert_str_eq(error.text, "test.log: cannot write: No space left on device");
    ck_assert_ptr_null(log);
}
END_TEST

START_TEST(full_later)
{
    struct rlimit limit = {2048, 2048};
    struct log_event event = event_number(1);
    struct event_log *log;
    struct error error;
    int fd = new_file();
    struct log_report report;

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    log = start(dup(fd), 0);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(event_log_append(log, &event), 0);
    ck_assert_int_eq(event_log_flush(log), -EFBIG);
    ck_assert_int_eq(event_log_append(log, &event), -EFBIG);
    ck_assert_int_eq(event_log_flush(log), -EFBIG);
    ck_assert_uint_eq(event_log_events(log), 0);
    ck_assert_uint_eq(event_log_lost(log), 21);
    ck_assert_int_eq(event_log_close(log, 1, NULL, &error), -EFBIG);
    ck_assert_ptr_nonnull(strstr(error.text, "21 events are not in the log"));
    size = contents(fd, bytes, sizeof(bytes));
    close(fd);
    ck_assert_uint_eq(size, 2048);
    report = check_bytes(bytes, size);
    ck_assert_int_eq(report.verdict, LOG_CUT);
}
END_TEST

START_TEST(size_limit)
{
    struct log_event event = event_number(1);
    struct event_log *log;
    struct error error;
    struct log_report report;
    int fd = new_file();
    int code = 0;

    log = start(dup(fd), 4096);
    for (int i = 0; i < 100; i++)
        code = event_log_append(log, &event);
    ck_assert_int_eq(code, -EFBIG);
    ck_assert_uint_eq(event_log_events(log) + event_log_lost(log), 100);
    ck_assert_int_eq(event_log_close(log, 1, NULL, &error), -EFBIG);
    size = contents(fd, bytes, sizeof(bytes));
    close(fd);
    ck_assert_uint_le(size, 4096);
    report = check_bytes(bytes, size);
    ck_assert_int_eq(report.verdict, LOG_WHOLE);
    ck_assert_uint_eq(report.lost + report.records - 2, 100);
}
END_TEST

/* Killed: what was flushed is there, and the log says that it was not closed. */
START_TEST(killed)
{
    struct log_event event = event_number(1);
    int fd = new_file();
    struct event_log *log = start(dup(fd), 0);
    struct log_report report;
    struct error error;
    char text[256];

    ck_assert_int_eq(event_log_append(log, &event), 0);
    ck_assert_int_eq(event_log_flush(log), 0);
    ck_assert_int_eq(event_log_append(log, &event), 0);
    size = contents(fd, bytes, sizeof(bytes));
    report = check_bytes(bytes, size);
    ck_assert_int_eq(report.verdict, LOG_NOT_CLOSED);
    ck_assert_uint_eq(report.records, 2);
    event_log_explain(&report, text, sizeof(text));
    ck_assert_ptr_nonnull(strstr(text, "not closed"));
    ck_assert_int_eq(event_log_close(log, 1, NULL, &error), 0);
    close(fd);
}
END_TEST

/* More than the buffer. */
START_TEST(many)
{
    int fd = new_file();
    struct event_log *log = start(dup(fd), 0);
    struct log_report report;
    struct error error;
    FILE *file;

    for (uint64_t i = 0; i < 2000; i++) {
        struct log_event event = event_number(i);

        ck_assert_int_eq(event_log_append(log, &event), 0);
    }
    ck_assert_int_eq(event_log_close(log, 1, head, &error), 0);
    lseek(fd, 0, SEEK_SET);
    file = fdopen(fd, "r");
    ck_assert_int_eq(event_log_verify(file, head, &report), 0);
    ck_assert_int_eq(report.verdict, LOG_WHOLE);
    ck_assert_uint_eq(report.records, 2002);
    fclose(file);
}
END_TEST

START_TEST(opening)
{
    char directory[] = "/tmp/unit_log.XXXXXX";
    char path[64];
    struct event_log_config config = {path, "unit_log", 0};
    struct event_log *log;
    struct event_log *second;
    struct error error;

    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/log", directory);
    ck_assert_int_eq(event_log_open(&log, &config, &error), 0);
    ck_assert_int_eq(event_log_open(&second, &config, &error), -EBUSY);
    ck_assert_int_eq(event_log_close(log, 1, NULL, &error), 0);
    ck_assert_int_eq(event_log_open(&second, &config, &error), -EEXIST);
    ck_assert_ptr_nonnull(strstr(error.text, "never written over"));
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_lt(event_log_open(&second, &config, &error), 0);
    unlink(path);
    snprintf(path, sizeof(path), "%s/no/log", directory);
    ck_assert_int_eq(event_log_open(&second, &config, &error), -ENOENT);
    ck_assert_ptr_nonnull(strstr(error.text, "/no/log: cannot write: No such file"));
    rmdir(directory);
    config.path = "/dev/null";
    ck_assert_int_eq(event_log_open(&second, &config, &error), -EINVAL);
}
END_TEST

/* A process that was started with the log open appends to it; this one goes on from there. */
START_TEST(by_another_process)
{
    int fd = new_file();
    struct event_log *log = start(dup(fd), 0);
    struct log_event event = event_number(1);
    struct event_log_state state;
    struct event_log_state wrong;
    struct error error;
    int told[2];

    ck_assert_int_eq(event_log_append(log, &event), 0);
    ck_assert_int_eq(event_log_flush(log), 0);
    ck_assert_int_eq(pipe(told), 0);
    if (fork() == 0) {
        event = event_number(2);
        event_log_append(log, &event);
        event_log_flush(log);
        event_log_tell(log, &state);
        _exit(write(told[1], &state, sizeof(state)) < 0);
    }
    ck_assert_int_eq(read(told[0], &state, sizeof(state)), sizeof(state));
    wrong = state;
    wrong.head[3] = '"';
    ck_assert_int_eq(event_log_go_on(log, &wrong), -EBADMSG);
    wrong = state;
    wrong.next = 1;
    ck_assert_int_eq(event_log_go_on(log, &wrong), -EBADMSG);
    wrong = state;
    memset(wrong.head, 'a', sizeof(wrong.head));
    ck_assert_int_eq(event_log_go_on(log, &wrong), -EBADMSG);
    ck_assert_int_eq(event_log_go_on(log, &state), 0);
    event = event_number(3);
    ck_assert_int_eq(event_log_append(log, &event), 0);
    ck_assert_int_eq(event_log_close(log, 99, head, &error), 0);
    size = contents(fd, bytes, sizeof(bytes));
    ck_assert_int_eq(check_head(bytes, size, head).verdict, LOG_WHOLE);
    ck_assert_uint_eq(check_bytes(bytes, size).records, 5);
    close(fd);
}
END_TEST

RUN_CASES("log", 60, ONCE(whole), ONCE(lines_are_json), ONCE(escapes), ONCE(largest_record),
          ONCE(flipped), ONCE(removed_byte), ONCE(truncated), EACH(deleted_line, LINES),
          EACH(doubled_line, LINES), EACH(swapped_lines, LINES - 1), ONCE(foreign_records),
          ONCE(another_head), ONCE(no_log), ONCE(longer_than_a_record), ONCE(full_disk),
          ONCE(full_later), ONCE(size_limit), ONCE(killed), ONCE(by_another_process), ONCE(many),
          ONCE(opening))
