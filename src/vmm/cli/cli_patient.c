/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/cli_patient.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "host/clock.h"
#include "vmm/cli/cli_signals.h"

#define LOOK_NS 50000000
#define PIECE   4096U /* what a pipe that is ready takes without waiting: PIPE_BUF */

/* 0, or an errno value. What cannot be polled can be written. */
static int wait_for_reader(const struct patience *patience)
{
    static const struct timespec now = {0};
    static const struct timespec a_moment = {.tv_nsec = LOOK_NS};
    struct pollfd end = {.fd = patience->fd, .events = POLLOUT};

    while (ppoll(&end, 1, &now, NULL) == 0) {
        if (cli_signal != 0)
            return EINTR;
        if (clock_now_ns() >= atomic_load(&patience->give_up_at))
            return ETIMEDOUT;
        ppoll(&end, 1, &a_moment, NULL);
    }
    return 0;
}

static int write_piece(struct patience *patience, const char *text, size_t length, size_t *written)
{
    int code = wait_for_reader(patience);
    ssize_t count;

    if (code != 0)
        return code;
    count = write(patience->fd, text, length < PIECE ? length : PIECE);
    if (count < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : errno;
    *written += (size_t)count;
    return 0;
}

void patient_fail(struct patience *patience, int error)
{
    if (patience->error != 0 || error == 0)
        return;
    patience->error = error;
    if (error == EPIPE && patience->closed != NULL)
        patience->closed();
}

static ssize_t patient_write(void *cookie, const char *text, size_t length)
{
    struct patience *patience = cookie;
    size_t written = 0;

    while (patience->error == 0 && written < length)
        patient_fail(patience, write_piece(patience, text + written, length - written, &written));
    if (written == length)
        return (ssize_t)written;
    errno = patience->error;
    return 0;
}

FILE *patient_open(struct patience *patience, int fd)
{
    const cookie_io_functions_t functions = {.write = patient_write};

    *patience = (struct patience){.fd = fd};
    atomic_store(&patience->give_up_at, UINT64_MAX);
    return fopencookie(patience, "w", functions);
}
