/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/cli_events.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "host/clock.h"
#include "vmm/cli/cli_channel.h"
#include "vmm/protect/hooks/policy.h"

/* Both processes have it. The stack file's side writes and believes nothing in it. */
struct answers {
    _Atomic uint32_t answered; /* counts; waited for by futex(2) */
    _Atomic uint32_t over;
    _Atomic uint64_t number; /* of the event */
    _Atomic int64_t answer;
};

struct event_line {
    struct answers *answers;
    struct guard_listener listener;
    int channel;
    int error;                /* errno of the first event that could not be sent */
    struct guard_event event; /* that came */
};

struct event_line *event_line_open(void)
{
    struct event_line *line = calloc(1, sizeof(*line));

    if (line == NULL)
        return NULL;
    line->answers = mmap(NULL, sizeof(*line->answers), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (line->answers != MAP_FAILED)
        return line;
    free(line);
    return NULL;
}

void event_line_close(struct event_line *line)
{
    munmap(line->answers, sizeof(*line->answers));
    free(line);
}

/* --- the machine's side --- */

static bool is_over(void *context)
{
    const struct event_line *line = context;

    return atomic_load(&line->answers->over) != 0;
}

/* A signal ends the wait, and the machine's own time goes on meanwhile. */
static bool await_room(const struct event_line *line, uint64_t until)
{
    struct pollfd end = {.fd = line->channel, .events = POLLOUT};
    uint64_t now;

    while ((now = clock_now_ns()) < until && !is_over((void *)line)) {
        const struct timespec left = {.tv_sec = (time_t)((until - now) / SECOND_NS),
                                      .tv_nsec = (long)((until - now) % SECOND_NS)};

        if (ppoll(&end, 1, &left, NULL) > 0)
            return (end.revents & POLLOUT) != 0;
    }
    return false;
}

static int64_t await_answer(const struct event_line *line, uint64_t number, uint64_t until)
{
    struct answers *answers = line->answers;

    for (;;) {
        const uint32_t seen = atomic_load(&answers->answered);
        const uint64_t now = clock_now_ns();
        struct timespec left;

        if (atomic_load(&answers->number) == number)
            return atomic_load(&answers->answer);
        if (now >= until || is_over((void *)line))
            return -EPERM;
        left.tv_sec = (time_t)((until - now) / SECOND_NS);
        left.tv_nsec = (long)((until - now) % SECOND_NS);
        syscall(SYS_futex, &answers->answered, FUTEX_WAIT, seen, &left, NULL, 0);
    }
}

static bool is_sent(struct event_line *line, const struct guard_event *event)
{
    int code = channel_send_event(line->channel, event, guard_event_size(event));

    if (code != 0 && line->error == 0)
        line->error = -code;
    return code == 0;
}

static int64_t send_event(void *context, const struct guard_event *event, uint64_t patience_ns,
                          bool *heard)
{
    struct event_line *line = context;
    const uint64_t until = clock_now_ns() + patience_ns;

    *heard = await_room(line, until) && is_sent(line, event);
    if (!*heard || event->reason != HOOK_REASON_ASKED)
        return -EPERM;
    return await_answer(line, event->number, until);
}

const struct guard_listener *event_line_listener(struct event_line *line, int channel)
{
    line->channel = channel;
    line->listener = (struct guard_listener){line, send_event, is_over};
    return &line->listener;
}

int event_line_error(const struct event_line *line)
{
    return line->error;
}

/* --- the stack file's side --- */

static bool is_of(const struct guard_event *event, size_t size, const struct machine_config *config)
{
    const struct guard_config *guard;

    if (!guard_event_is_sound(event, size) || event->l2 >= config->l2_count)
        return false;
    guard = config->l2[event->l2].guard;
    return guard != NULL && guard->heard &&
           (event->function < guard->plan->functions || event->function == MEZZ_GUARD_FUNCTIONS);
}

void event_line_take(struct event_line *line, const struct machine_config *config,
                     const void *bytes, size_t length)
{
    const struct guard_listener *listener = config->listener;
    struct answers *answers = line->answers;
    bool heard = false;
    int64_t answer;

    if (length > sizeof(line->event))
        return;
    memcpy(&line->event, bytes, length);
    if (!is_of(&line->event, length, config))
        return;
    answer = listener->event(listener->context, &line->event, 0, &heard);
    atomic_store(&answers->over, listener->over(listener->context));
    if (line->event.reason != HOOK_REASON_ASKED)
        return;
    atomic_store(&answers->answer, answer);
    atomic_store(&answers->number, line->event.number);
    atomic_fetch_add(&answers->answered, 1);
    syscall(SYS_futex, &answers->answered, FUTEX_WAKE, 1, NULL, NULL, 0);
}
