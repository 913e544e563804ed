/* SPDX-License-Identifier: Apache-2.0 */
#include "log_sample.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

char sample_bytes[SAMPLE_ROOM];
size_t sample_size;
char sample_head[LOG_HASH_DIGITS + 1];
struct sample_line sample_line[SAMPLE_LINES];

struct event_log *sample_start(int fd, uint64_t limit)
{
    const struct event_log_config config = {"test.log", "unit_log", limit};
    struct error error;
    struct event_log *log = NULL;

    ck_assert_msg(event_log_start(&log, fd, &config, &error) == 0, "%s", error.text);
    return log;
}

struct log_event sample_event(uint64_t number)
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

size_t sample_read(int fd, char *to, size_t room)
{
    ssize_t length = pread(fd, to, room, 0);

    ck_assert_int_ge(length, 0);
    ck_assert_uint_lt((size_t)length, room);
    return (size_t)length;
}

int sample_file(void)
{
    int fd = memfd_create("log", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    return fd;
}

void sample_make(void)
{
    int fd = sample_file();
    struct event_log *log = sample_start(dup(fd), 0);
    struct error error;

    for (uint64_t i = 1; i < SAMPLE_LINES - 1; i++) {
        struct log_event event = sample_event(i);

        ck_assert_int_eq(event_log_append(log, &event), 0);
    }
    ck_assert_int_eq(event_log_close(log, 99, sample_head, &error), 0);
    sample_size = sample_read(fd, sample_bytes, sizeof(sample_bytes));
    close(fd);
    for (size_t i = 0, at = 0; i < SAMPLE_LINES; i++) {
        const char *end = memchr(sample_bytes + at, '\n', sample_size - at);

        ck_assert_ptr_nonnull(end);
        sample_line[i].at = at;
        sample_line[i].length = (size_t)(end - (sample_bytes + at)) + 1;
        at += sample_line[i].length;
    }
}

struct log_report sample_verify_head(const char *what, size_t length, const char *due)
{
    int fd = sample_file();
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

struct log_report sample_verify(const char *what, size_t length)
{
    return sample_verify_head(what, length, NULL);
}

struct log_report sample_verify_lines(const int *numbers)
{
    char text[sizeof(sample_bytes)];
    size_t length = 0;

    for (; *numbers >= 0; numbers++) {
        memcpy(text + length, sample_bytes + sample_line[*numbers].at,
               sample_line[*numbers].length);
        length += sample_line[*numbers].length;
    }
    return sample_verify(text, length);
}
