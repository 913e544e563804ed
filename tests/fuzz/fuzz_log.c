/* SPDX-License-Identifier: Apache-2.0 */
/* The log verifier. The input is a file as it is; or, behind an 'h', lines that get the hashes they
 * need, so that what stands in them is looked at. */
#include <stdlib.h>
#include <string.h>

#include "hookguard/log/event_log.h"
#include "hookguard/log/record.h"

#define FILE_LIMIT 65536U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t put_line(char *to, const char *line, size_t length)
{
    char hash[LOG_HASH_DIGITS + 1];

    log_hash(line, length, hash);
    memcpy(to, line, length);
    return length + (size_t)sprintf(to + length, "%s%s\"}\n", LOG_TAIL_MARK, hash);
}

/* The length of the file. */
static size_t put_hashes(char *to, const char *text, size_t size)
{
    size_t used = 0;

    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        size_t length = end != NULL ? (size_t)(end - text) : size;

        if (used + length + LOG_TAIL_SIZE + 2 > FILE_LIMIT)
            break;
        used += put_line(to + used, text, length);
        length += end != NULL;
        text += length;
        size -= length;
    }
    return used;
}

static void verify(char *text, size_t length, struct log_report *report)
{
    FILE *file = fmemopen(text, length, "r");

    if (file == NULL || event_log_verify(file, NULL, report) != 0)
        abort();
    fclose(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char file[FILE_LIMIT + 1];
    struct log_report report;
    struct log_report again;
    char text[256] = "";
    size_t length;

    if (size == 0 || size > FILE_LIMIT)
        return 0;
    if (data[0] == 'h')
        length = put_hashes(file, (const char *)data + 1, size - 1);
    else
        memcpy(file, data, length = size);
    if (length == 0)
        return 0;
    verify(file, length, &report);
    event_log_explain(&report, text, sizeof(text));
    if (report.verdict >= LOG_VERDICTS || text[0] == '\0' || strlen(text) >= sizeof(text))
        abort();
    /* A log that is whole is not when it is cut, or when a byte in it is another. */
    if (report.verdict != LOG_WHOLE)
        return 0;
    verify(file, length - 1, &again);
    if (again.verdict == LOG_WHOLE)
        abort();
    file[data[size - 1] * length / 256] ^= 1;
    verify(file, length, &again);
    if (again.verdict == LOG_WHOLE)
        abort();
    return 0;
}
