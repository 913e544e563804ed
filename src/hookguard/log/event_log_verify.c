/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "hookguard/log/event_log.h"
#include "hookguard/log/record.h"

#define HEADER_BEGINS "{\"seq\":0,\"prev\":\"" LOG_NO_HASH "\",\"type\":\"header\",\"format\":"

struct reader {
    FILE *file;
    struct log_report *report;
    char *line;    /* LOG_RECORD_LIMIT and a NUL */
    size_t length; /* without its new line */
    bool ended;    /* it had one */
    bool closed;   /* the trailer was seen */
};

/* Reads a line, or of a longer one LOG_RECORD_LIMIT bytes. False at the end of the file. */
static bool read_line(struct reader *reader)
{
    int c = EOF;

    reader->length = 0;
    reader->ended = false;
    while (reader->length < LOG_RECORD_LIMIT && (c = getc(reader->file)) != EOF && c != '\n')
        reader->line[reader->length++] = (char)c;
    reader->ended = c == '\n';
    reader->line[reader->length] = '\0';
    return reader->length > 0 || reader->ended;
}

/* Whether the line ends in a hash, which it then has in `hash`; `*body` is what was hashed. */
static bool split(const struct reader *reader, size_t *body, char hash[LOG_HASH_DIGITS + 1])
{
    const char *tail;
    const char *digits;

    if (reader->length < LOG_TAIL_SIZE)
        return false;
    *body = reader->length - LOG_TAIL_SIZE;
    tail = reader->line + *body;
    digits = tail + strlen(LOG_TAIL_MARK);
    memcpy(hash, digits, LOG_HASH_DIGITS);
    hash[LOG_HASH_DIGITS] = '\0';
    return memcmp(tail, LOG_TAIL_MARK, strlen(LOG_TAIL_MARK)) == 0 &&
           strspn(hash, "0123456789abcdef") == LOG_HASH_DIGITS &&
           memcmp(digits + LOG_HASH_DIGITS, "\"}", 2) == 0;
}

/* A log whose first record was damaged is still a log: by its begin or by its end. */
static bool is_log(const struct reader *reader)
{
    char hash[LOG_HASH_DIGITS + 1];
    size_t known = strlen(HEADER_BEGINS);
    size_t body;

    if (reader->length < known)
        known = reader->ended ? known : reader->length;
    return memcmp(reader->line, HEADER_BEGINS, known) == 0 || split(reader, &body, hash);
}

static enum log_verdict check_trailer(struct reader *reader, const char *fields)
{
    struct log_report *report = reader->report;
    uint64_t events = 0;
    uint64_t lost = 0;

    /* The bytes are the writer's: their hash is right. */
    reader->closed = true;
    fields = strstr(fields, ",\"events\":");
    if (fields == NULL ||
        sscanf(fields, ",\"events\":%" SCNu64 ",\"lost\":%" SCNu64, &events, &lost) != 2)
        return LOG_EDITED;
    report->lost = lost;
    if (events + 1 == report->records)
        return LOG_WHOLE;
    report->due = events;
    report->found = report->records - 1;
    return LOG_COUNT;
}

static enum log_verdict check_line(struct reader *reader)
{
    struct log_report *report = reader->report;
    char due[LOG_HASH_DIGITS + 1];
    char hash[LOG_HASH_DIGITS + 1];
    char previous[LOG_HASH_DIGITS + 1];
    uint64_t sequence;
    size_t body;
    int used = 0;

    if (!reader->ended && reader->length < LOG_RECORD_LIMIT)
        return LOG_CUT;
    if (!split(reader, &body, hash))
        return LOG_EDITED;
    log_hash(reader->line, body, due);
    if (memcmp(due, hash, LOG_HASH_DIGITS) != 0)
        return LOG_EDITED;
    reader->line[body] = '\0';
    if (sscanf(reader->line, "{\"seq\":%" SCNu64 ",\"prev\":\"%64[0-9a-f]\",\"type\":\"%n",
               &sequence, previous, &used) != 2 ||
        used == 0)
        return LOG_EDITED;
    if (reader->closed)
        return LOG_BEHIND_END;
    if (sequence != report->records) {
        report->due = report->records;
        report->found = sequence;
        return LOG_ORDER;
    }
    if (strcmp(previous, report->head) != 0)
        return LOG_CHAIN;
    if (sequence == 0 && strncmp(reader->line, HEADER_BEGINS, strlen(HEADER_BEGINS)) != 0)
        return LOG_EDITED;
    if (strncmp(reader->line + used, "trailer\"", strlen("trailer\"")) == 0) {
        enum log_verdict verdict = check_trailer(reader, reader->line + used);

        if (verdict != LOG_WHOLE)
            return verdict;
    }
    memcpy(report->head, hash, sizeof(report->head));
    report->records++;
    return LOG_WHOLE;
}

static enum log_verdict check_all(struct reader *reader, const char *head)
{
    struct log_report *report = reader->report;
    enum log_verdict verdict = LOG_WHOLE;

    while (verdict == LOG_WHOLE && read_line(reader)) {
        report->line++;
        if (report->line == 1 && !is_log(reader))
            return LOG_NOT_A_LOG;
        if (reader->closed)
            return LOG_BEHIND_END;
        verdict = check_line(reader);
    }
    if (report->line == 0)
        return LOG_NOT_A_LOG;
    if (verdict != LOG_WHOLE)
        return verdict;
    if (!reader->closed)
        return LOG_NOT_CLOSED;
    return head != NULL && strcmp(head, report->head) != 0 ? LOG_OTHER_HEAD : LOG_WHOLE;
}

int event_log_verify(FILE *file, const char *head, struct log_report *report)
{
    char line[LOG_RECORD_LIMIT + 1];
    struct reader reader = {.file = file, .report = report, .line = line};

    *report = (struct log_report){.head = LOG_NO_HASH};
    errno = 0;
    report->verdict = check_all(&reader, head);
    if (ferror(file))
        return errno != 0 ? -errno : -EIO;
    return 0;
}

void event_log_explain(const struct log_report *report, char *text, size_t length)
{
    static const char *const sentence[LOG_VERDICTS] = {
        [LOG_WHOLE] = "whole",
        [LOG_EDITED] = "was edited",
        [LOG_ORDER] = "is out of order",
        [LOG_CHAIN] = "does not continue the record before it",
        [LOG_CUT] = "is cut off",
        [LOG_NOT_CLOSED] = "not closed: the program was killed, or records at the end are missing",
        [LOG_BEHIND_END] = "follows the end of the log",
        [LOG_COUNT] = "tells of another number of events",
        [LOG_OTHER_HEAD] = "whole, but another log: its last hash is not the one given",
        [LOG_NOT_A_LOG] = "is not a log of mezz",
    };
    const char *what = sentence[report->verdict];

    switch ((int)report->verdict) {
    case LOG_WHOLE:
        snprintf(text, length, "whole: %" PRIu64 " records, %" PRIu64 " events lost, last hash %s",
                 report->records, report->lost, report->head);
        break;
    case LOG_NOT_CLOSED:
        snprintf(text, length, "%s (record %" PRIu64 " is the last)", what, report->records - 1);
        break;
    case LOG_ORDER:
    case LOG_COUNT:
        snprintf(text, length, "record %" PRIu64 " %s: %" PRIu64 " where %" PRIu64 " is due",
                 report->line - 1, what, report->found, report->due);
        break;
    case LOG_OTHER_HEAD:
    case LOG_NOT_A_LOG:
        snprintf(text, length, "%s", what);
        break;
    default:
        snprintf(text, length, "record %" PRIu64 " %s", report->line - 1, what);
        break;
    }
}
