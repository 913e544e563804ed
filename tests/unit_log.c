/* SPDX-License-Identifier: Apache-2.0 */
/* The hash-chained log: what is written, whatever happens to the file meanwhile. */

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

#include "log_sample.h"
#include "runner.h"

START_TEST(whole)
{
    struct log_report report;
    char text[256];

    sample_make();
    report = sample_verify_head(sample_bytes, sample_size, sample_head);
    ck_assert_int_eq(report.verdict, LOG_WHOLE);
    ck_assert_uint_eq(report.records, SAMPLE_LINES);
    ck_assert_uint_eq(report.lost, 0);
    ck_assert_str_eq(report.head, sample_head);
    event_log_explain(&report, text, sizeof(text));
    ck_assert_ptr_nonnull(strstr(text, "whole: 6 records, 0 events lost"));
}
END_TEST

START_TEST(lines_are_json)
{
    sample_make();
    for (size_t i = 0; i < SAMPLE_LINES; i++) {
        json_error_t error;
        json_t *record =
            json_loadb(sample_bytes + sample_line[i].at, sample_line[i].length, 0, &error);

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
    int fd = sample_file();
    struct event_log *log = sample_start(dup(fd), 0);
    struct error error;
    char *second;
    json_t *record;

    memset(text, 'x', sizeof(text) - 1);
    ck_assert_int_eq(event_log_append(log, &event), 0);
    ck_assert_int_eq(event_log_close(log, 1, NULL, &error), 0);
    sample_size = sample_read(fd, sample_bytes, sizeof(sample_bytes));
    close(fd);
    second = strchr(sample_bytes, '\n') + 1;
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
    ck_assert_int_eq(sample_verify(sample_bytes, sample_size).verdict, LOG_WHOLE);
}
END_TEST

/* What the same file has of several runs can be told apart. */
START_TEST(runs)
{
    const struct log_event event = {.time_ns = 7};
    int fd = sample_file();
    struct event_log *log = sample_start(dup(fd), 0);
    struct error error;

    ck_assert_int_eq(event_log_append(log, &event), 0);
    for (unsigned int run = 0; run < 2; run++) {
        event_log_begin_run(log);
        ck_assert_int_eq(event_log_append(log, &event), 0);
    }
    ck_assert_int_eq(event_log_close(log, 1, NULL, &error), 0);
    sample_size = sample_read(fd, sample_bytes, sizeof(sample_bytes));
    close(fd);
    ck_assert_int_eq(sample_verify(sample_bytes, sample_size).verdict, LOG_WHOLE);
    ck_assert_ptr_nonnull(strstr(sample_bytes, "\"time\":7,\"level\""));
    ck_assert_ptr_nonnull(strstr(sample_bytes, "\"time\":7,\"run\":1,\"level\""));
    ck_assert_ptr_nonnull(strstr(sample_bytes, "\"time\":7,\"run\":2,\"level\""));
}
END_TEST

/* All strings as long and as awkward as they may be still make a record. */
START_TEST(largest_record)
{
    static char text[LOG_TEXT_LIMIT + 2];
    struct log_field more[LOG_MORE_LIMIT + 1];
    struct log_event event = {UINT64_MAX, 2,    text, UINT32_MAX, UINT32_MAX, UINT64_MAX,
                              text,       text, text, text,       more,       LOG_MORE_LIMIT};
    struct event_log *log = sample_start(sample_file(), 0);
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
    struct log_event event = sample_event(1);
    struct event_log *log;
    struct error error;
    int fd = sample_file();
    struct log_report report;

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    log = sample_start(dup(fd), 0);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(event_log_append(log, &event), 0);
    ck_assert_int_eq(event_log_flush(log), -EFBIG);
    ck_assert_int_eq(event_log_append(log, &event), -EFBIG);
    ck_assert_int_eq(event_log_flush(log), -EFBIG);
    ck_assert_uint_eq(event_log_events(log), 0);
    ck_assert_uint_eq(event_log_lost(log), 21);
    ck_assert_int_eq(event_log_close(log, 1, NULL, &error), -EFBIG);
    ck_assert_ptr_nonnull(strstr(error.text, "21 events are not in the log"));
    sample_size = sample_read(fd, sample_bytes, sizeof(sample_bytes));
    close(fd);
    ck_assert_uint_eq(sample_size, 2048);
    report = sample_verify(sample_bytes, sample_size);
    ck_assert_int_eq(report.verdict, LOG_CUT);
}
END_TEST

START_TEST(size_limit)
{
    struct log_event event = sample_event(1);
    struct event_log *log;
    struct error error;
    struct log_report report;
    int fd = sample_file();
    int code = 0;

    log = sample_start(dup(fd), 4096);
    for (int i = 0; i < 100; i++)
        code = event_log_append(log, &event);
    ck_assert_int_eq(code, -EFBIG);
    ck_assert_uint_eq(event_log_events(log) + event_log_lost(log), 100);
    ck_assert_int_eq(event_log_close(log, 1, NULL, &error), -EFBIG);
    sample_size = sample_read(fd, sample_bytes, sizeof(sample_bytes));
    close(fd);
    ck_assert_uint_le(sample_size, 4096);
    report = sample_verify(sample_bytes, sample_size);
    ck_assert_int_eq(report.verdict, LOG_WHOLE);
    ck_assert_uint_eq(report.lost + report.records - 2, 100);
}
END_TEST

/* Killed: what was flushed is there, and the log says that it was not closed. */
START_TEST(killed)
{
    struct log_event event = sample_event(1);
    int fd = sample_file();
    struct event_log *log = sample_start(dup(fd), 0);
    struct log_report report;
    struct error error;
    char text[256];

    ck_assert_int_eq(event_log_append(log, &event), 0);
    ck_assert_int_eq(event_log_flush(log), 0);
    ck_assert_int_eq(event_log_append(log, &event), 0);
    sample_size = sample_read(fd, sample_bytes, sizeof(sample_bytes));
    report = sample_verify(sample_bytes, sample_size);
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
    int fd = sample_file();
    struct event_log *log = sample_start(dup(fd), 0);
    struct log_report report;
    struct error error;
    FILE *file;

    for (uint64_t i = 0; i < 2000; i++) {
        struct log_event event = sample_event(i);

        ck_assert_int_eq(event_log_append(log, &event), 0);
    }
    ck_assert_int_eq(event_log_close(log, 1, sample_head, &error), 0);
    lseek(fd, 0, SEEK_SET);
    file = fdopen(fd, "r");
    ck_assert_int_eq(event_log_verify(file, sample_head, &report), 0);
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
    int fd = sample_file();
    struct event_log *log = sample_start(dup(fd), 0);
    struct log_event event = sample_event(1);
    struct event_log_state state;
    struct event_log_state wrong;
    struct error error;
    int told[2];

    ck_assert_int_eq(event_log_append(log, &event), 0);
    ck_assert_int_eq(event_log_flush(log), 0);
    ck_assert_int_eq(pipe(told), 0);
    if (fork() == 0) {
        event = sample_event(2);
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
    event = sample_event(3);
    ck_assert_int_eq(event_log_append(log, &event), 0);
    ck_assert_int_eq(event_log_close(log, 99, sample_head, &error), 0);
    sample_size = sample_read(fd, sample_bytes, sizeof(sample_bytes));
    ck_assert_int_eq(sample_verify_head(sample_bytes, sample_size, sample_head).verdict, LOG_WHOLE);
    ck_assert_uint_eq(sample_verify(sample_bytes, sample_size).records, 5);
    close(fd);
}
END_TEST

RUN_CASES("log", 60, ONCE(whole), ONCE(lines_are_json), ONCE(escapes), ONCE(runs),
          ONCE(largest_record), ONCE(full_disk), ONCE(full_later), ONCE(size_limit), ONCE(killed),
          ONCE(by_another_process), ONCE(many), ONCE(opening))
