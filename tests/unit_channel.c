/* SPDX-License-Identifier: Apache-2.0 */
/* The way from a machine's process to the one outside, with a sender that a guest has taken over.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner.h"
#include "vmm/cli/cli_channel.h"

#define LIMIT_MS 5000U
#define WORDS    "no memory"

static int ends[2];
static struct channel_result result;
static unsigned int heard;

static void open_ends(void)
{
    ck_assert_int_eq(channel_open(ends), 0);
    heard = 0;
}

static void hear(void *context, const void *bytes, size_t length)
{
    (void)context;
    (void)bytes;
    heard += (unsigned int)length;
}

/* All was sent. */
static int receive(uint64_t limit_ms)
{
    const struct channel_ear ear = {NULL, hear};
    int code;

    close(ends[1]);
    code = channel_receive(ends[0], &ear, limit_ms, &result);
    close(ends[0]);
    free(result.report);
    return code;
}

static void send_failure(void)
{
    struct error error;

    error_set(&error, ENOMEM, WORDS);
    ck_assert(channel_send_failure(ends[1], -ENOMEM, &error));
}

static void send_bytes(uint32_t kind, size_t length)
{
    unsigned char packet[4096] = {0};

    memcpy(packet, &kind, sizeof(kind));
    ck_assert_int_eq(write(ends[1], packet, length), (ssize_t)length);
}

START_TEST(a_failure)
{
    open_ends();
    send_failure();
    ck_assert_int_eq(receive(LIMIT_MS), 0);
    ck_assert_int_eq(result.failure, -ENOMEM);
    ck_assert_str_eq(result.error.text, WORDS);
    ck_assert(!result.started && !result.ended && !result.lied);
}
END_TEST

START_TEST(a_report)
{
    static unsigned char report[100000];
    const struct channel_end end = {.trace_error = ENOSPC};

    open_ends();
    ck_assert(channel_send_start(ends[1]));
    ck_assert_int_eq(channel_send_event(ends[1], "event", 5), 0);
    ck_assert(channel_send_report(ends[1], report, sizeof(report), &end));
    ck_assert_int_eq(receive(LIMIT_MS), 0);
    ck_assert(result.started && result.ended && !result.lied);
    ck_assert_uint_eq(result.length, sizeof(report));
    ck_assert_int_eq(result.end.trace_error, ENOSPC);
    ck_assert_uint_eq(heard, 5);
}
END_TEST

static void failure_after_start(void)
{
    ck_assert(channel_send_start(ends[1]));
    send_failure();
}

static void start_twice(void)
{
    ck_assert(channel_send_start(ends[1]));
    ck_assert(channel_send_start(ends[1]));
}

static void end_without_start(void)
{
    const struct channel_end end = {.trace_error = 0};

    ck_assert(channel_send_report(ends[1], "", 0, &end));
}

static void cut_end(void)
{
    ck_assert(channel_send_start(ends[1]));
    send_bytes(CHANNEL_END, sizeof(uint32_t) + sizeof(struct channel_end) - 1);
}

static void cut_failure(void)
{
    send_bytes(CHANNEL_FAILED, sizeof(uint32_t) + 4);
}

static void no_kind(void)
{
    send_bytes(CHANNEL_STARTED, 3);
}

static void unknown_kind(void)
{
    send_bytes(CHANNEL_END + 1, 64);
}

static void (*const lies[])(void) = {failure_after_start, start_twice, end_without_start, cut_end,
                                     cut_failure,         no_kind,     unknown_kind};

START_TEST(a_lie)
{
    open_ends();
    lies[_i]();
    ck_assert_int_eq(receive(LIMIT_MS), 0);
    ck_assert(result.lied && !result.ended);
    ck_assert_int_eq(result.failure, 0);
}
END_TEST

/* Gone without a word, after some, amid a report. */
START_TEST(silence)
{
    open_ends();
    if (_i > 0)
        ck_assert(channel_send_start(ends[1]));
    if (_i > 1)
        send_bytes(CHANNEL_PIECE, 4096);
    ck_assert_int_eq(receive(LIMIT_MS), 0);
    ck_assert(!result.lied && !result.ended);
    ck_assert_int_eq(result.started, _i > 0);
}
END_TEST

/* One that neither ends nor stops to send. */
START_TEST(too_late)
{
    const struct channel_ear ear = {NULL, hear};
    pid_t child;

    open_ends();
    child = fork();
    if (child == 0) {
        while (_i == 0 || channel_send_event(ends[1], "event", 5) == 0)
            ;
        _exit(0);
    }
    ck_assert_int_eq(channel_receive(ends[0], &ear, 200, &result), -ETIME);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(heard > 0, _i > 0);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

RUN_CASES("channel", 60, ONCE(a_failure), ONCE(a_report), EACH(a_lie, ELEMENTS(lies)),
          EACH(silence, 3), EACH(too_late, 2))
