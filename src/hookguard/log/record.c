/* SPDX-License-Identifier: Apache-2.0 */
#include "hookguard/log/record.h"

#include <inttypes.h>
#include <nettle/sha2.h>
#include <stdarg.h>
#include <string.h>

void log_hash(const char *bytes, size_t length, char digits[LOG_HASH_DIGITS + 1])
{
    static const char digit[] = "0123456789abcdef";
    uint8_t digest[SHA256_DIGEST_SIZE];
    struct sha256_ctx context;

    sha256_init(&context);
    sha256_update(&context, length, (const uint8_t *)bytes);
    sha256_digest(&context, sizeof(digest), digest);
    for (size_t i = 0; i < sizeof(digest); i++) {
        digits[2 * i] = digit[digest[i] >> 4];
        digits[2 * i + 1] = digit[digest[i] & 15];
    }
    digits[LOG_HASH_DIGITS] = '\0';
}

static void put(struct log_line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void put(struct log_line *line, const char *format, ...)
{
    size_t room = sizeof(line->text) - line->length;
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(line->text + line->length, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= room)
        line->full = true;
    else
        line->length += (size_t)length;
}

void log_line_begin(struct log_line *line, uint64_t sequence, const char *previous,
                    const char *type, uint64_t time_ns)
{
    line->length = 0;
    line->full = false;
    put(line, "{\"seq\":%" PRIu64 ",\"prev\":\"%s\",\"type\":\"%s\"", sequence, previous, type);
    if (sequence == 0)
        put(line, ",\"format\":%d", LOG_FORMAT);
    log_line_number(line, "time", time_ns);
}

void log_line_number(struct log_line *line, const char *name, uint64_t number)
{
    /* A double holds all integers up to here. */
    if (number <= 1ULL << 53)
        put(line, ",\"%s\":%" PRIu64, name, number);
    else
        put(line, ",\"%s\":\"%" PRIu64 "\"", name, number);
}

void log_line_address(struct log_line *line, const char *name, uint64_t address)
{
    put(line, ",\"%s\":\"0x%" PRIx64 "\"", name, address);
}

void log_line_text(struct log_line *line, const char *name, const char *text)
{
    size_t length;

    if (text == NULL)
        return;
    length = strnlen(text, LOG_TEXT_LIMIT + 1);
    put(line, ",\"%s\":\"", name);
    for (size_t i = 0; i < length && i < LOG_TEXT_LIMIT; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (byte == '"' || byte == '\\')
            put(line, "\\%c", byte);
        else if (byte < ' ' || byte > '~')
            put(line, "\\u%04x", byte);
        else
            put(line, "%c", byte);
    }
    put(line, "%s\"", length > LOG_TEXT_LIMIT ? "..." : "");
}

bool log_line_end(struct log_line *line, char hash[LOG_HASH_DIGITS + 1])
{
    log_hash(line->text, line->length, hash);
    put(line, LOG_TAIL_MARK "%s\"}\n", hash);
    return !line->full;
}
