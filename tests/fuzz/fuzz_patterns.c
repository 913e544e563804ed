/* SPDX-License-Identifier: Apache-2.0 */
/* The text of YARA rules, and behind a NUL what is scanned with them. Rules are refused with a
 * reason, or what they say of the bytes is the same each time and within its limits. */
#include <stdlib.h>
#include <string.h>

#include "hookguard/patterns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, '\0', size) : NULL;
    const size_t text = end != NULL ? (size_t)(end - data) : size;
    const size_t skip = end != NULL ? text + 1 : size;
    struct pattern_result one, two;
    struct patterns *patterns;
    struct error error = {""};

    if (patterns_compile(&patterns, "rules.yar", (const char *)data, text, &error) != 0) {
        if (strncmp(error.text, "rules.yar:", 10) != 0)
            abort();
        return 0;
    }
    patterns_scan(patterns, data + skip, size - skip, &one);
    patterns_scan(patterns, data + skip, size - skip, &two);
    check(&one, patterns);
    check(&two, patterns);
    if (one.outcome != PATTERNS_UNKNOWN && two.outcome != PATTERNS_UNKNOWN &&
        (one.outcome != two.outcome || one.rules != two.rules))
        abort();
    patterns_destroy(patterns);
    return 0;
}
