/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/stack/script_units.h"

#include <stdio.h>
#include <string.h>

#define NAME_LIMIT 32U

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit sizes[] = {{"G", 1ULL << 30}, {"M", 1ULL << 20}, {"K", 1ULL << 10}};
static const struct unit durations[] = {{"s", 1000000000ULL}, {"ms", 1000000ULL}};

#define UNITS(table) table, sizeof(table) / sizeof((table)[0])

static bool parse(const char *text, const struct unit *units, size_t count, uint64_t *value)
{
    uint64_t number = 0;

    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++)
        if (__builtin_mul_overflow(number, 10ULL, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
            return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, units[i].name) == 0)
            return !__builtin_mul_overflow(number, units[i].factor, value);
    return false;
}

static void format(char *text, size_t length, const struct unit *units, size_t count,
                   const char *smallest, uint64_t value)
{
    for (size_t i = 0; i < count; i++) {
        if (value >= units[i].factor && value % units[i].factor == 0) {
            snprintf(text, length, "%llu%s", (unsigned long long)(value / units[i].factor),
                     units[i].name);
            return;
        }
    }
    snprintf(text, length, "%llu%s", (unsigned long long)value, smallest);
}

bool script_parse_size(const char *text, uint64_t *bytes)
{
    return parse(text, UNITS(sizes), bytes);
}

bool script_parse_duration(const char *text, uint64_t *nanoseconds)
{
    return parse(text, UNITS(durations), nanoseconds);
}

void script_format_size(char *text, size_t length, uint64_t bytes)
{
    format(text, length, UNITS(sizes), " bytes", bytes);
}

void script_format_duration(char *text, size_t length, uint64_t nanoseconds)
{
    format(text, length, UNITS(durations), " ns", nanoseconds);
}

/* Levenshtein's distance of two short names. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_LIMIT + 1];
    size_t length = strlen(b);

    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[length];
}

const char *script_did_you_mean(const char *name, const char *(*candidate)(const void *, size_t),
                                const void *context)
{
    const char *best = NULL;
    const char *other;
    size_t least = 3;

    if (strlen(name) > NAME_LIMIT)
        return NULL;
    for (size_t i = 0; (other = candidate(context, i)) != NULL; i++) {
        size_t far;

        if (strlen(other) > NAME_LIMIT)
            continue;
        far = distance(name, other);
        if (far < least && far < strlen(other)) {
            least = far;
            best = other;
        }
    }
    return best;
}
