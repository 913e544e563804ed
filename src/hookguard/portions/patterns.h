/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_PORTIONS_PATTERNS_H
#define HOOKGUARD_PORTIONS_PATTERNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/error.h"

/*
 * Known-malicious code by YARA rules. What a switch is about to make executable is compared with
 * them before it runs, and again only when it was written since.
 *
 * The rules are the stack author's and trusted to be meant; what is scanned is hostile. So rules
 * may neither include files nor use YARA's modules that parse file formats (only "math" and
 * "hash"), the length is bounded, and the time of one scan is bounded by PATTERN_SECONDS.
 */
#define PATTERN_SECONDS     1
#define PATTERN_RULES_LIMIT 8U   /* names that a result holds */
#define PATTERN_PAGES_LIMIT 256U /* of one scan */

struct patterns;

/* name: of the file, for messages: "NAME:LINE: what is wrong". -EINVAL, -ENOMEM. */
int patterns_compile(struct patterns **patterns, const char *name, const char *text, size_t length,
                     struct error *error);
void patterns_destroy(struct patterns *patterns);

size_t patterns_rules(const struct patterns *patterns);

enum pattern_outcome {
    PATTERNS_CLEAN,
    PATTERNS_MATCHED,
    PATTERNS_UNKNOWN /* not to be run either: `why` */
};

struct pattern_result {
    enum pattern_outcome outcome;
    const char *rule[PATTERN_RULES_LIMIT]; /* of the patterns, as long as they live */
    size_t rules;                          /* that matched; more than PATTERN_RULES_LIMIT fit in */
    const char *why;                       /* PATTERNS_UNKNOWN: a constant text */
};

/* bytes: private memory, which nobody alters meanwhile. */
void patterns_scan(struct patterns *patterns, const void *bytes, size_t length,
                   struct pattern_result *result);

/* A page of what a switch makes executable. Pages with neighbouring `linear` are scanned as one
 * piece, so that a pattern may lie across them. */
struct pattern_page {
    uint64_t linear;
    uint64_t frame;      /* what lies there */
    uint64_t generation; /* of the frame's content: another number after each write */
};

struct pattern_source {
    /* Copies the page's PAGE_SIZE bytes. 0 or a negative errno. */
    int (*read)(void *context, uint64_t frame, void *to);
    void *context;
};

/* What is known of the pages of the last check. Zeroed: nothing. */
struct pattern_cache {
    struct pattern_page *page;
    size_t count;
    struct pattern_result result;
    uint64_t scans; /* checks that were not answered from here */
};

/* pages: by linear address. They must not be writable by anyone from before their generations are
 * taken until they run, or until the caller sees the write and leaves the view: otherwise what was
 * scanned is not what runs. */
void patterns_check(struct patterns *patterns, struct pattern_cache *cache,
                    const struct pattern_page *pages, size_t count,
                    const struct pattern_source *source, struct pattern_result *result);
void pattern_cache_destroy(struct pattern_cache *cache);

#endif
