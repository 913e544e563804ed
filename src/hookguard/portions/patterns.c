/* SPDX-License-Identifier: Apache-2.0 */
#include "hookguard/portions/patterns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yara.h>

#include "hookguard/portions/rule_lines.h"
#include "host/memory.h"

struct patterns {
    YR_RULES *rules;
    YR_SCANNER *scanner;
    struct pattern_result *result; /* of the scan that runs */
    const char *refused;           /* a module that a rule imports */
    uint8_t *buffer;               /* PATTERN_PAGES_LIMIT pages */
};

/* The first error of a compilation. */
struct complaint {
    const char *name;
    const char *text;
    struct error *error;
    int lines; /* of the file */
    bool made;
};

static void complain(int level, const char *file, int line, const YR_RULE *rule,
                     const char *message, void *context)
{
    struct complaint *complaint = context;

    (void)file;
    (void)rule;
    if (level != YARA_ERROR_LEVEL_ERROR || complaint->made)
        return;
    complaint->made = true;
    /* At the end of the file YARA says 0. */
    if (line == 0)
        line = complaint->lines;
    line = rule_line_of_message(complaint->text, message, line);
    error_set(complaint->error, EINVAL, "%s:%d: %s", complaint->name, line, message);
}

/* Modules with no parser of the guest's bytes in them. */
static bool module_allowed(const char *name)
{
    return strcmp(name, "math") == 0 || strcmp(name, "hash") == 0;
}

static void take_match(struct pattern_result *result, const YR_RULE *rule)
{
    result->outcome = PATTERNS_MATCHED;
    if (result->rules < PATTERN_RULES_LIMIT)
        result->rule[result->rules] = rule->identifier;
    result->rules++;
}

static int scanning(YR_SCAN_CONTEXT *context, int message, void *data, void *user)
{
    struct patterns *patterns = user;

    (void)context;
    if (message == CALLBACK_MSG_RULE_MATCHING) {
        take_match(patterns->result, data);
    } else if (message == CALLBACK_MSG_IMPORT_MODULE) {
        const YR_MODULE_IMPORT *import = data;

        if (!module_allowed(import->module_name)) {
            patterns->refused = import->module_name;
            return CALLBACK_ERROR;
        }
    } else if (message == CALLBACK_MSG_TOO_MANY_MATCHES) {
        return CALLBACK_ERROR;
    }
    return CALLBACK_CONTINUE;
}

static const char *explain(int code)
{
    switch (code) {
    case ERROR_SCAN_TIMEOUT:
        return "the scan took too long";
    case ERROR_TOO_MANY_MATCHES:
    case ERROR_CALLBACK_ERROR:
        return "a string of a rule is found too often";
    case ERROR_INSUFFICIENT_MEMORY:
        return "no memory for the scan";
    default:
        return "the scan failed";
    }
}

/* Adds to the result; a match stays one even if the rest could not be scanned. */
static void scan_piece(struct patterns *patterns, const void *bytes, size_t length,
                       struct pattern_result *result)
{
    int code;

    patterns->result = result;
    code = yr_scanner_scan_mem(patterns->scanner, bytes, length);
    patterns->result = NULL;
    if (code == ERROR_SUCCESS || result->outcome == PATTERNS_MATCHED)
        return;
    result->outcome = PATTERNS_UNKNOWN;
    result->why = explain(code);
}

void patterns_scan(struct patterns *patterns, const void *bytes, size_t length,
                   struct pattern_result *result)
{
    *result = (struct pattern_result){.outcome = PATTERNS_CLEAN};
    if (length > PATTERN_PAGES_LIMIT * PAGE_SIZE)
        *result = (struct pattern_result){.outcome = PATTERNS_UNKNOWN, .why = "too long to scan"};
    else
        scan_piece(patterns, bytes, length, result);
}

static int compile(YR_COMPILER *compiler, struct patterns *patterns, const char *name, char *text,
                   struct error *error)
{
    struct complaint complaint = {name, text, error, 1, false};

    for (const char *c = text; *c != '\0'; c++)
        complaint.lines += *c == '\n' && c[1] != '\0';
    yr_compiler_set_callback(compiler, complain, &complaint);
    yr_compiler_set_include_callback(compiler, NULL, NULL, NULL);
    if (yr_compiler_add_string(compiler, text, NULL) != 0)
        return complaint.made ? -EINVAL : error_set(error, EINVAL, "%s: is not a rule file", name);
    if (yr_compiler_get_rules(compiler, &patterns->rules) != ERROR_SUCCESS ||
        yr_scanner_create(patterns->rules, &patterns->scanner) != ERROR_SUCCESS)
        return error_set(error, ENOMEM, "%s: no memory for the rules", name);
    if (patterns->rules->num_rules == 0)
        return error_set(error, EINVAL, "%s: has no rule", name);
    return 0;
}

/* Modules are known only when a scan loads them. */
static int check_modules(struct patterns *patterns, const char *name, const char *text,
                         struct error *error)
{
    struct pattern_result result;
    char where[16] = "";
    int line;

    patterns_scan(patterns, "", 0, &result);
    if (patterns->refused == NULL)
        return 0;
    line = rule_line_of_import(text, patterns->refused);
    if (line != 0)
        snprintf(where, sizeof(where), ":%d", line);
    return error_set(
        error, EINVAL,
        "%s%s: import \"%s\": only \"math\" and \"hash\" may look at what a guest wrote", name,
        where, patterns->refused);
}

static int make(struct patterns *patterns, const char *name, char *text, struct error *error)
{
    YR_COMPILER *compiler;
    int code;

    patterns->buffer = malloc(PATTERN_PAGES_LIMIT * PAGE_SIZE);
    if (patterns->buffer == NULL || yr_compiler_create(&compiler) != ERROR_SUCCESS)
        return error_set(error, ENOMEM, "%s: no memory for the rules", name);
    code = compile(compiler, patterns, name, text, error);
    yr_compiler_destroy(compiler);
    if (code != 0)
        return code;
    yr_scanner_set_callback(patterns->scanner, scanning, patterns);
    yr_scanner_set_timeout(patterns->scanner, PATTERN_SECONDS);
    /* No handler for SIGSEGV and SIGBUS: what is scanned is our own memory. */
    yr_scanner_set_flags(patterns->scanner, SCAN_FLAGS_FAST_MODE | SCAN_FLAGS_NO_TRYCATCH |
                                                SCAN_FLAGS_REPORT_RULES_MATCHING);
    return check_modules(patterns, name, text, error);
}

int patterns_compile(struct patterns **made, const char *name, const char *text, size_t length,
                     struct error *error)
{
    struct patterns *patterns;
    char *copy;
    int code;

    if (memchr(text, '\0', length) != NULL)
        return error_set(error, EINVAL, "%s: is not a text file", name);
    if (yr_initialize() != ERROR_SUCCESS)
        return error_set(error, ENOMEM, "%s: no memory for the rules", name);
    patterns = calloc(1, sizeof(*patterns));
    copy = malloc(length + 1);
    if (patterns == NULL || copy == NULL) {
        code = error_set(error, ENOMEM, "%s: no memory for the rules", name);
    } else {
        memcpy(copy, text, length);
        copy[length] = '\0';
        code = make(patterns, name, copy, error);
    }
    free(copy);
    if (code != 0 && patterns != NULL)
        patterns_destroy(patterns);
    else if (code != 0)
        yr_finalize();
    else
        *made = patterns;
    return code;
}

void patterns_destroy(struct patterns *patterns)
{
    if (patterns->scanner != NULL)
        yr_scanner_destroy(patterns->scanner);
    if (patterns->rules != NULL)
        yr_rules_destroy(patterns->rules);
    free(patterns->buffer);
    free(patterns);
    yr_finalize();
}

size_t patterns_rules(const struct patterns *patterns)
{
    return patterns->rules->num_rules;
}

/* Copies pages from `first` on while they are neighbours, and scans them. The number of pages, or 0
 * when one cannot be read. */
static size_t scan_neighbours(struct patterns *patterns, const struct pattern_page *first,
                              size_t count, const struct pattern_source *source,
                              struct pattern_result *result)
{
    size_t n = 0;

    do {
        if (source->read(source->context, first[n].frame, patterns->buffer + n * PAGE_SIZE) != 0)
            return 0;
        n++;
    } while (n < count && first[n].linear == first[n - 1].linear + PAGE_SIZE);
    scan_piece(patterns, patterns->buffer, n * PAGE_SIZE, result);
    return n;
}

static bool cache_has(const struct pattern_cache *cache, const struct pattern_page *pages,
                      size_t count)
{
    if (cache->scans == 0 || cache->count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (cache->page[i].linear != pages[i].linear || cache->page[i].frame != pages[i].frame ||
            cache->page[i].generation != pages[i].generation)
            return false;
    return true;
}

static bool cache_put(struct pattern_cache *cache, const struct pattern_page *pages, size_t count,
                      const struct pattern_result *result)
{
    struct pattern_page *copy = malloc((count + 1) * sizeof(*copy));

    if (copy == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        copy[i] = pages[i];
    free(cache->page);
    cache->page = copy;
    cache->count = count;
    cache->result = *result;
    return true;
}

static void unknown(struct pattern_result *result, const char *why)
{
    *result = (struct pattern_result){.outcome = PATTERNS_UNKNOWN, .why = why};
}

void patterns_check(struct patterns *patterns, struct pattern_cache *cache,
                    const struct pattern_page *pages, size_t count,
                    const struct pattern_source *source, struct pattern_result *result)
{
    if (cache_has(cache, pages, count)) {
        *result = cache->result;
        return;
    }
    *result = (struct pattern_result){.outcome = PATTERNS_CLEAN};
    cache->count = SIZE_MAX;
    cache->scans++;
    if (count > PATTERN_PAGES_LIMIT) {
        unknown(result, "too long to scan");
        return;
    }
    for (size_t i = 0; i < count && result->outcome != PATTERNS_UNKNOWN;) {
        size_t scanned = scan_neighbours(patterns, &pages[i], count - i, source, result);

        if (scanned == 0) {
            unknown(result, "a page cannot be read");
            return; /* not cached: it may be readable next time */
        }
        i += scanned;
    }
    if (!cache_put(cache, pages, count, result))
        cache->count = SIZE_MAX;
}

void pattern_cache_destroy(struct pattern_cache *cache)
{
    free(cache->page);
    *cache = (struct pattern_cache){.page = NULL};
}
