/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CLI_CHANNEL_H
#define VMM_CLI_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include "cage/cage.h"
#include "hookguard/event_log.h"
#include "host/error.h"

/*
 * From the process that runs a machine to the one that started it: packets, each with its kind in
 * front, or CAGE_VIOLATION. Either it failed, or there are pieces of the report and an end.
 */
enum channel_kind {
    CHANNEL_FAILED = 1,
    CHANNEL_PIECE,
    CHANNEL_END
};

struct channel_end {
    int terminal_error; /* errno of a write that failed; 0 */
    int trace_error;
    struct event_log_state log;
};

/* The two ends: [0] receives. 0 or a negative errno. */
int channel_open(int ends[2]);

/* The sender's side. What cannot be sent is the receiver's to notice. */
void channel_send_failure(int channel, int code, const struct error *error);
void channel_send_report(int channel, const void *bytes, size_t length,
                         const struct channel_end *end);

/* What came. */
struct channel_result {
    int failure; /* a negative errno, and `error`; 0 */
    struct error error;
    unsigned char *report; /* to free() */
    size_t length;
    int ended; /* the report is whole, and `end` */
    struct channel_end end;
    int violated;
    struct cage_violation violation;
};

/* Receives until the other side is gone or has sent its last packet. Whatever comes, result is
 * sound. 0, or a negative errno of this side. */
int channel_receive(int channel, struct channel_result *result);

#endif
