/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CLI_CHANNEL_H
#define VMM_CLI_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hookguard/log/event_log.h"
#include "host/error.h"

/*
 * From the process that runs a machine to the one that started it: packets, each with its kind in
 * front. Either it failed, or it started, and there are events, if somebody is to hear of
 * them, pieces of the report and an end.
 */
enum channel_kind {
    CHANNEL_FAILED = 1,
    CHANNEL_STARTED, /* the cage is closed; from here on nothing fails but the machine */
    CHANNEL_EVENT,   /* of a guard: protect/guard_event.h */
    CHANNEL_PIECE,
    CHANNEL_END
};

struct channel_end {
    int report_error;   /* errno, and there is no report; 0 */
    int terminal_error; /* errno of a write that failed; 0 */
    int trace_error;
    int event_error; /* an event is not on its way */
    struct event_log_state log;
};

/* The two ends: [0] receives. 0 or a negative errno. */
int channel_open(int ends[2]);

/* The sender's side. False: it is not on its way. */
bool channel_send_failure(int channel, int code, const struct error *error);
bool channel_send_start(int channel);
bool channel_send_report(int channel, const void *bytes, size_t length,
                         const struct channel_end *end);

/* While the machine runs. 0, or a negative errno: it is not on its way. */
int channel_send_event(int channel, const void *bytes, size_t length);

/* Who takes events. */
struct channel_ear {
    void *context;
    void (*take)(void *context, const void *bytes, size_t length);
};

/* What came. */
struct channel_result {
    int started; /* guests may have run */
    int failure; /* a negative errno, and `error`; 0 */
    struct error error;
    unsigned char *report; /* to free() */
    size_t length;
    int ended; /* the report is whole, and `end` */
    int lied;  /* something came that mezz does not send, or not then */
    struct channel_end end;
};

/* Receives until the other side is gone or has sent its last packet. Whatever comes, result is
 * sound. ear: NULL: events are nobody's. 0, or a negative errno of this side, and the rest of what
 * the other sent is lost. -ETIME: that took more than limit_ms, in which the time that this process
 * was stopped does not count. */
int channel_receive(int channel, const struct channel_ear *ear, uint64_t limit_ms,
                    struct channel_result *result);

#endif
