/* SPDX-License-Identifier: Apache-2.0 */
#include "hookguard/log/event_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "hookguard/log/record.h"

#define BUFFER_SIZE (64U << 10)
/* Of size_limit, for the trailer. */
#define TRAILER_ROOM 512U

struct event_log {
    int fd;
    int failed; /* negative errno of a write: nothing more is written */
    char *path;
    uint64_t size_limit;
    uint64_t size;   /* with what is buffered */
    uint64_t next;   /* sequence number */
    uint64_t events; /* appended */
    uint64_t lost;
    uint64_t unwritten; /* events in the buffer */
    uint64_t run;       /* 0: none has begun */
    size_t buffered;
    char head[LOG_HASH_DIGITS + 1];
    struct log_line line; /* that is being made */
    char buffer[BUFFER_SIZE];
};

static int write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);

        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return 0;
}

int event_log_flush(struct event_log *log)
{
    if (log->failed != 0)
        return log->failed;
    log->failed = write_all(log->fd, log->buffer, log->buffered);
    if (log->failed != 0) {
        log->events -= log->unwritten;
        log->lost += log->unwritten;
    }
    log->unwritten = 0;
    log->buffered = 0;
    return log->failed;
}

/* Ends log->line and puts it into the buffer. */
static int append_line(struct event_log *log, uint64_t room)
{
    char hash[LOG_HASH_DIGITS + 1];
    int code;

    if (!log_line_end(&log->line, hash))
        return -EMSGSIZE;
    if (log->size_limit != 0 && log->size + log->line.length + room > log->size_limit)
        return -EFBIG;
    if (log->buffered + log->line.length > sizeof(log->buffer)) {
        code = event_log_flush(log);
        if (code != 0)
            return code;
    }
    memcpy(log->buffer + log->buffered, log->line.text, log->line.length);
    log->buffered += log->line.length;
    log->size += log->line.length;
    log->next++;
    memcpy(log->head, hash, sizeof(hash));
    return 0;
}

static void begin(struct event_log *log, const char *type, uint64_t time_ns)
{
    log_line_begin(&log->line, log->next, log->head, type, time_ns);
}

static int write_header(struct event_log *log, const struct event_log_config *config)
{
    char started[32] = "";
    time_t now = time(NULL);
    struct tm date;
    int code;

    if (gmtime_r(&now, &date) != NULL)
        strftime(started, sizeof(started), "%Y-%m-%dT%H:%M:%SZ", &date);
    begin(log, "header", 0);
    log_line_text(&log->line, "started", started);
    log_line_text(&log->line, "program", config->program);
    code = append_line(log, TRAILER_ROOM);
    return code != 0 ? code : event_log_flush(log);
}

static void destroy(struct event_log *log)
{
    free(log->path);
    free(log);
}

int event_log_start(struct event_log **made, int fd, const struct event_log_config *config,
                    struct error *error)
{
    struct event_log *log = calloc(1, sizeof(*log));
    int code;

    if (log != NULL)
        log->path = strdup(config->path);
    if (log == NULL || log->path == NULL) {
        free(log);
        close(fd);
        return error_set(error, ENOMEM, "%s: no memory for the log", config->path);
    }
    log->fd = fd;
    log->size_limit = config->size_limit;
    memcpy(log->head, LOG_NO_HASH, sizeof(log->head));
    code = write_header(log, config);
    if (code != 0) {
        destroy(log);
        close(fd);
        return error_set(error, -code, "%s: cannot write: %s", config->path, strerror(-code));
    }
    *made = log;
    return 0;
}

/* 0 or a negative errno with a message. Locked first, so that of two programs that find the same
 * file empty one loses. */
static int check_file(int fd, const char *path, struct error *error)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return error_set(error, errno, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, EINVAL, "%s: is not a regular file", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return error_set(error, EBUSY, "%s: another program writes it", path);
    if (fstat(fd, &status) < 0 || status.st_size != 0)
        return error_set(error, EEXIST, "%s: is there and not empty; a log is never written over",
                         path);
    return 0;
}

int event_log_open(struct event_log **log, const struct event_log_config *config,
                   struct error *error)
{
    int fd =
        open(config->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
    int code;

    if (fd < 0)
        return error_set(error, errno, "%s: cannot write: %s", config->path, strerror(errno));
    code = check_file(fd, config->path, error);
    if (code != 0) {
        close(fd);
        return code;
    }
    return event_log_start(log, fd, config, error);
}

static int append_event(struct event_log *log, const struct log_event *event)
{
    struct log_line *line = &log->line;

    if (log->failed != 0)
        return log->failed;
    if (event->more_count > LOG_MORE_LIMIT)
        return -EMSGSIZE;
    begin(log, "event", event->time_ns);
    if (log->run != 0)
        log_line_number(line, "run", log->run);
    log_line_number(line, "level", event->level);
    log_line_text(line, "l2", event->l2);
    log_line_number(line, "from", event->from);
    log_line_number(line, "to", event->to);
    log_line_address(line, "rip", event->rip);
    log_line_text(line, "symbol", event->symbol);
    log_line_text(line, "reason", event->reason);
    log_line_text(line, "rule", event->rule);
    log_line_text(line, "verdict", event->verdict);
    for (size_t i = 0; i < event->more_count; i++)
        if (event->more[i].text != NULL)
            log_line_text(line, event->more[i].name, event->more[i].text);
        else
            log_line_number(line, event->more[i].name, event->more[i].number);
    return append_line(log, TRAILER_ROOM);
}

void event_log_begin_run(struct event_log *log)
{
    log->run++;
}

int event_log_append(struct event_log *log, const struct log_event *event)
{
    int code = append_event(log, event);

    if (code != 0) {
        log->lost++;
        return code;
    }
    log->events++;
    log->unwritten++;
    return 0;
}

uint64_t event_log_events(const struct event_log *log)
{
    return log->events;
}

uint64_t event_log_lost(const struct event_log *log)
{
    return log->lost;
}

void event_log_head(const struct event_log *log, char head[LOG_HASH_DIGITS + 1])
{
    memcpy(head, log->head, sizeof(log->head));
}

int event_log_file(const struct event_log *log)
{
    return log->fd;
}

void event_log_tell(const struct event_log *log, struct event_log_state *state)
{
    *state = (struct event_log_state){.size = log->size,
                                      .next = log->next,
                                      .events = log->events,
                                      .lost = log->lost,
                                      .failed = log->failed};
    memcpy(state->head, log->head, sizeof(state->head));
}

int event_log_go_on(struct event_log *log, const struct event_log_state *state)
{
    if (strnlen(state->head, sizeof(state->head)) != LOG_HASH_DIGITS ||
        strspn(state->head, "0123456789abcdef") != LOG_HASH_DIGITS || state->next < log->next ||
        state->failed > 0)
        return -EBADMSG;
    log->size = state->size;
    log->next = state->next;
    log->events = state->events;
    log->lost = state->lost;
    log->failed = state->failed;
    memcpy(log->head, state->head, sizeof(log->head));
    return 0;
}

void event_log_abandon(struct event_log *log)
{
    close(log->fd);
    destroy(log);
}

static int finish(struct event_log *log, uint64_t time_ns)
{
    int code = log->failed;

    if (code != 0)
        return code;
    begin(log, "trailer", time_ns);
    log_line_number(&log->line, "events", log->events);
    log_line_number(&log->line, "lost", log->lost);
    code = append_line(log, 0);
    if (code == 0)
        code = event_log_flush(log);
    /* EINVAL, EROFS: what it is has no disk behind it. */
    if (code == 0 && fdatasync(log->fd) < 0 && errno != EINVAL && errno != EROFS)
        code = -errno;
    return code;
}

int event_log_close(struct event_log *log, uint64_t time_ns, char head[LOG_HASH_DIGITS + 1],
                    struct error *error)
{
    int code = finish(log, time_ns);

    if (close(log->fd) < 0 && code == 0)
        code = -errno;
    if (head != NULL)
        event_log_head(log, head);
    if (code != 0)
        error_set(error, -code, "%s: cannot write: %s; %llu events are not in the log", log->path,
                  strerror(-code), (unsigned long long)log->lost);
    else if (log->lost != 0)
        code = error_set(error, EFBIG, "%s: %llu events did not fit into the log", log->path,
                         (unsigned long long)log->lost);
    destroy(log);
    return code;
}
