/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_LOG_EVENT_LOG_H
#define HOOKGUARD_LOG_EVENT_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "host/error.h"

/*
 * An append-only log: one JSON object a line, and each ends in the SHA-256 of its own bytes before
 * `,"hash":`. A record has the hash of the one before it in `prev`, so that none can be altered,
 * removed, inserted or moved without all later ones. The first record is the header, the last the
 * trailer, which a program that was killed does not write:
 *
 *   {"seq":0,"prev":"000...","type":"header","format":1,"time":0,"started":"2026-01-01T00:00:00Z",
 *    "program":"mezz 1.0","hash":"..."}
 *   {"seq":1,"prev":"...","type":"event","time":12,"run":1,"level":2,"l2":"tiny","from":0,"to":1,
 *    "rip":"0x401000","symbol":"sign","reason":"entry","verdict":"switch","hash":"..."}
 *   {"seq":2,"prev":"...","type":"trailer","time":99,"events":1,"lost":0,"hash":"..."}
 *
 * The chain has no key: whoever can write the whole file anew can make a new chain. Against that
 * stands the last hash, kept elsewhere (event_log_head, and the `head` of event_log_verify).
 *
 * Numbers past 2^53, which many JSON readers round, are text. Of a string, bytes that are not
 * printable ASCII are \u00XX, XX being the byte, and more than LOG_TEXT_LIMIT bytes end in "...".
 */
struct event_log;

#define LOG_FORMAT       1
#define LOG_HASH_DIGITS  64
#define LOG_TEXT_LIMIT   128U
#define LOG_MORE_LIMIT   14U
#define LOG_RECORD_LIMIT 16384U /* bytes of a line, with its end */

struct log_field {
    const char *name; /* a word of the program's own: [a-z0-9_]+ */
    const char *text; /* NULL: number */
    uint64_t number;
};

/* Strings that are NULL are left out. */
struct log_event {
    uint64_t time_ns;   /* since the machine started */
    unsigned int level; /* whose deed it was: 0 the root, 1, 2 */
    const char *l2;
    uint32_t from; /* views */
    uint32_t to;
    uint64_t rip;
    const char *symbol;
    const char *reason;
    const char *rule;
    const char *verdict;
    const struct log_field *more; /* at most LOG_MORE_LIMIT */
    size_t more_count;
};

struct event_log_config {
    const char *path;
    const char *program; /* and its version, for the header */
    uint64_t size_limit; /* bytes; 0: none. Events beyond it are lost, counted and told. */
};

/* Opens the file before the run, so that nothing has to be opened in it, and writes the header. The
 * file is new or empty: a log is never written over. -EEXIST, -EBUSY (another program has it),
 * -EINVAL (no regular file) and what open and write say, with a message. */
int event_log_open(struct event_log **log, const struct event_log_config *config,
                   struct error *error);

/* The same on a descriptor, which the log owns from now on, also after a failure. */
int event_log_start(struct event_log **log, int fd, const struct event_log_config *config,
                    struct error *error);

/* A run begins: its events have its number, from 1 on. Before the first they have none. */
void event_log_begin_run(struct event_log *log);

/* Appends to the buffer, which is written when it is full and by event_log_flush. 0; -EFBIG beyond
 * size_limit; or the error of a write, now and ever after, since a chain has no room for a gap.
 * Whatever is not 0 is an event that the log does not have; the caller decides whether to go on. */
int event_log_append(struct event_log *log, const struct log_event *event);

/* After what must not be lost with the process: a refusal, a tick. */
int event_log_flush(struct event_log *log);

uint64_t event_log_events(const struct event_log *log); /* in the log */
uint64_t event_log_lost(const struct event_log *log);

/* The hash of the last record. */
void event_log_head(const struct event_log *log, char head[LOG_HASH_DIGITS + 1]);

/* The file that is written to. */
int event_log_file(const struct event_log *log);

/*
 * Where a log stands. A process that was started with the log open appends to it, flushes, and
 * tells with this the one that started it, whose log goes on from there. -EBADMSG: it cannot be,
 * and the log is as it was.
 */
struct event_log_state {
    uint64_t size;
    uint64_t next;
    uint64_t events;
    uint64_t lost;
    int failed;
    char head[LOG_HASH_DIGITS + 1];
};

void event_log_tell(const struct event_log *log, struct event_log_state *state);
int event_log_go_on(struct event_log *log, const struct event_log_state *state);

/* Closes a log that another process was to append to and that died: as if this one had. */
void event_log_abandon(struct event_log *log);

/* Writes the trailer and what is buffered, makes the disk have it, and frees the log. The message
 * names the file and what was lost. head may be NULL. */
int event_log_close(struct event_log *log, uint64_t time_ns, char head[LOG_HASH_DIGITS + 1],
                    struct error *error);

enum log_verdict {
    LOG_WHOLE,
    LOG_EDITED,     /* a record's bytes are not those that were hashed */
    LOG_ORDER,      /* a sequence number is not the one that is due: removed, doubled, moved */
    LOG_CHAIN,      /* `prev` is not the hash before: a record of another log, or made anew */
    LOG_CUT,        /* the last line has no end */
    LOG_NOT_CLOSED, /* no trailer: the program was killed, or records at the end are missing */
    LOG_BEHIND_END, /* something follows the trailer */
    LOG_COUNT,      /* the trailer tells of another number of events */
    LOG_OTHER_HEAD, /* whole, but not the log with the hash that was asked for */
    LOG_NOT_A_LOG,
    LOG_VERDICTS
};

struct log_report {
    enum log_verdict verdict;
    uint64_t line;    /* from 1 on, that the verdict is about */
    uint64_t records; /* good ones, header and trailer included */
    uint64_t lost;    /* events that the trailer tells of */
    uint64_t due;     /* LOG_ORDER: the sequence number, and the one there; LOG_COUNT: of events */
    uint64_t found;
    char head[LOG_HASH_DIGITS + 1]; /* of the last good record */
};

/* head: the hash that the last record must have, or NULL. 0 with the report, or a negative errno
 * when the file cannot be read. */
int event_log_verify(FILE *file, const char *head, struct log_report *report);

/* A sentence without the file's name. */
void event_log_explain(const struct log_report *report, char *text, size_t length);

#endif
