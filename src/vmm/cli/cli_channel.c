/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/cli_channel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/clock.h"

/* Of bytes of a report in one packet: well within what a socket buffers. */
#define PIECE_SIZE 65536U
/* Of a report: every console of every L2 that may be, and much more. */
#define REPORT_LIMIT (256UL << 20)

struct packet {
    uint32_t kind;
    union {
        struct {
            int code;
            struct error error;
        } failed;
        struct channel_end end;
        unsigned char piece[PIECE_SIZE];
    };
};

/* At a time. */
#define LOOK_MS 1000
#define MS      1000000ULL

#define HEAD    offsetof(struct packet, piece)

int channel_open(int ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;
}

/* By write(2): the cage allows nothing else. */
static bool send_packet(int channel, const struct packet *packet, size_t length)
{
    ssize_t sent;

    do
        sent = write(channel, packet, HEAD + length);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)(HEAD + length);
}

bool channel_send_failure(int channel, int code, const struct error *error)
{
    struct packet packet = {.kind = CHANNEL_FAILED};

    packet.failed.code = code;
    packet.failed.error = *error;
    return send_packet(channel, &packet, sizeof(packet.failed));
}

bool channel_send_start(int channel)
{
    struct packet packet;

    packet.kind = CHANNEL_STARTED;
    return send_packet(channel, &packet, 0);
}

bool channel_send_report(int channel, const void *bytes, size_t length,
                         const struct channel_end *end)
{
    struct packet packet = {.kind = CHANNEL_PIECE};

    for (size_t at = 0; at < length; at += PIECE_SIZE) {
        size_t size = length - at < PIECE_SIZE ? length - at : PIECE_SIZE;

        memcpy(packet.piece, (const char *)bytes + at, size);
        if (!send_packet(channel, &packet, size))
            return false;
    }
    packet.kind = CHANNEL_END;
    packet.end = *end;
    return send_packet(channel, &packet, sizeof(packet.end));
}

int channel_send_event(int channel, const void *bytes, size_t length)
{
    struct packet packet;

    if (length > PIECE_SIZE)
        return -EMSGSIZE;
    packet.kind = CHANNEL_EVENT;
    memcpy(packet.piece, bytes, length);
    return send_packet(channel, &packet, length) ? 0 : -errno;
}

static bool add_piece(struct channel_result *result, const void *bytes, size_t length, int *code)
{
    size_t whole = result->length + length;
    unsigned char *report;

    if (whole > REPORT_LIMIT) {
        result->lied = 1;
        return false;
    }
    report = realloc(result->report, whole + 1);
    if (report == NULL) {
        *code = -ENOMEM;
        return false;
    }
    memcpy(report + result->length, bytes, length);
    result->report = report;
    result->length = whole;
    return true;
}

static void take_failure(struct channel_result *result, const struct packet *packet)
{
    /* Any number and any bytes may come. */
    result->failure = packet->failed.code < 0 ? packet->failed.code : -EIO;
    error_set(&result->error, 1, "%.*s", (int)sizeof(packet->failed.error.text),
              packet->failed.error.text);
}

/* Whether more may come. code: an error of this side. */
static bool take(struct channel_result *result, const struct channel_ear *ear,
                 const struct packet *packet, size_t length, int *code)
{
    if (length < HEAD) {
        result->lied = 1;
        return false;
    }
    length -= HEAD;
    if (packet->kind == CHANNEL_EVENT) {
        if (ear != NULL)
            ear->take(ear->context, packet->piece, length);
        return true;
    }
    if (packet->kind == CHANNEL_PIECE)
        return add_piece(result, packet->piece, length, code);
    if (packet->kind == CHANNEL_STARTED && !result->started) {
        result->started = 1;
        return true;
    }
    if (packet->kind == CHANNEL_END && result->started && length == sizeof(packet->end)) {
        result->end = packet->end;
        result->ended = 1;
    } else if (packet->kind == CHANNEL_FAILED && !result->started &&
               length == sizeof(packet->failed)) {
        take_failure(result, packet);
    } else {
        result->lied = 1;
    }
    return false;
}

/* What is left of a time. One that was longer than a wait takes was not ours: the process was
 * stopped, or an ear waited for somebody else. */
struct limit {
    uint64_t left_ms;
    uint64_t looked_ms;
};

static bool is_over(struct limit *limit)
{
    const uint64_t now = clock_now_ns() / MS;
    const uint64_t gone = now - limit->looked_ms < LOOK_MS ? now - limit->looked_ms : LOOK_MS;

    limit->looked_ms = now;
    limit->left_ms -= gone < limit->left_ms ? gone : limit->left_ms;
    return limit->left_ms == 0;
}

/* 0, or a negative errno: -EAGAIN when it is too early to read. */
static int await_packet(int channel, struct limit *limit)
{
    struct pollfd end = {.fd = channel, .events = POLLIN};
    const int ready = poll(&end, 1, LOOK_MS);
    const int code = ready < 0 ? -errno : 0;

    if (code != 0 && code != -EINTR)
        return code;
    if (is_over(limit))
        return -ETIME;
    return ready > 0 ? 0 : -EAGAIN;
}

int channel_receive(int channel, const struct channel_ear *ear, uint64_t limit_ms,
                    struct channel_result *result)
{
    struct limit limit = {limit_ms, clock_now_ns() / MS};
    struct packet *packet = malloc(sizeof(*packet));
    ssize_t length;
    bool more = true;
    int code = 0;

    *result = (struct channel_result){.failure = 0};
    if (packet == NULL)
        return -ENOMEM;
    while (more) {
        code = await_packet(channel, &limit);
        if (code == -EAGAIN)
            continue;
        if (code != 0)
            break;
        length = read(channel, packet, sizeof(*packet));
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            code = -errno;
        more = length > 0 && take(result, ear, packet, (size_t)length, &code);
    }
    free(packet);
    return code;
}
