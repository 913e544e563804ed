/* SPDX-License-Identifier: Apache-2.0 */
/* The text of YARA rules, and behind a NUL what is scanned with them; or, behind a byte that begins
 * no text, what is scanned with rules that were compiled once, which is many times as fast. Rules
 * are refused with a reason, or what they say of the bytes is the same each time and within its
 * limits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hookguard/portions/patterns.h"

#define KEPT 3U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const char *const kept_name[KEPT] = {"example", "math", "small"};
static struct patterns *kept[KEPT];

static void check(const struct pattern_result *result, const struct patterns *patterns)
{
    if (result->outcome > PATTERNS_UNKNOWN || result->rules > patterns_rules(patterns))
        abort();
    if ((result->outcome == PATTERNS_MATCHED) != (result->rules > 0))
        abort();
    if ((result->outcome == PATTERNS_UNKNOWN) != (result->why != NULL))
        abort();
    for (size_t i = 0; i < result->rules && i < PATTERN_RULES_LIMIT; i++)
        if (result->rule[i] == NULL || result->rule[i][0] == '\0')
            abort();
}

static void scan(struct patterns *patterns, const uint8_t *data, size_t size)
{
    struct pattern_result one, two;

    patterns_scan(patterns, data, size, &one);
    patterns_scan(patterns, data, size, &two);
    check(&one, patterns);
    check(&two, patterns);
    if (one.outcome != PATTERNS_UNKNOWN && two.outcome != PATTERNS_UNKNOWN &&
        (one.outcome != two.outcome || one.rules != two.rules))
        abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    for (size_t i = 0; i < KEPT; i++) {
        struct error error;
        char path[128], text[4096];
        size_t length = 0;
        FILE *file;

        snprintf(path, sizeof(path), "tests/fuzz/seeds/fuzz_patterns/%s", kept_name[i]);
        file = fopen(path, "r");
        if (file != NULL) {
            length = fread(text, 1, sizeof(text), file);
            fclose(file);
        }
        length = strnlen(text, length);
        if (patterns_compile(&kept[i], kept_name[i], text, length, &error) != 0) {
            fprintf(stderr, "%s: %s (run this in the source's directory)\n", path, error.text);
            exit(2);
        }
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, '\0', size) : NULL;
    const size_t text = end != NULL ? (size_t)(end - data) : size;
    const size_t skip = end != NULL ? text + 1 : size;
    struct patterns *patterns;
    struct error error = {""};

    if (size > 0 && data[0] >= 1 && data[0] <= KEPT) {
        scan(kept[data[0] - 1], data + 1, size - 1);
        return 0;
    }
    if (patterns_compile(&patterns, "rules.yar", (const char *)data, text, &error) != 0) {
        if (strncmp(error.text, "rules.yar:", 10) != 0)
            abort();
        return 0;
    }
    scan(patterns, data + skip, size - skip);
    patterns_destroy(patterns);
    return 0;
}
