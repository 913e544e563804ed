/* SPDX-License-Identifier: Apache-2.0 */
/* Rules: their mistakes, what they match, and that pages are scanned only when they were written.
 */
#include "hookguard/portions/patterns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/memory.h"
#include "runner.h"

static const char marker[] = "rule first { strings: $a = \"MARKER\" condition: $a }\n"
                             "rule second { strings: $a = { 90 90 CD 80 } condition: $a }\n";

static struct patterns *compile(const char *text)
{
    struct patterns *patterns = NULL;
    struct error error = {"no error"};

    ck_assert_msg(patterns_compile(&patterns, "x.yar", text, strlen(text), &error) == 0, "%s",
                  error.text);
    return patterns;
}

static const struct {
    const char *text;
    const char *error;
} mistakes[] = {
    {"rule x { condition: true }\nrule x { condition: true }", "x.yar:2: duplicated identifier"},
    {"rule x {\n  condition:\n    $a\n}", "x.yar:3: undefined string \"$a\""},
    {"rule x {\n condition:\n $a\n\n and $a }", "x.yar:3: undefined string \"$a\""},
    {"rule x {\n condition:\n #a\n > 1\n}", "x.yar:3: undefined string \"$a\""},
    {"rule x {\n condition:\n 1 != !a\n\n}", "x.yar:3: undefined string \"$a\""},
    {"rule x {\n condition:\n @a[1]\n > 1\n}", "x.yar:3: undefined string \"$a\""},
    {"rule x {\n condition:\n any of ($a*,\n$b)\n}", "x.yar:3: undefined string \"$a*\""},
    {"rule x {\n condition:\n any of\n them\n}", "x.yar:4: undefined string \"$*\""},
    /* Named in another rule, in comments, in strings, and as a part of another name. */
    {"rule w { strings: $a = \"abcd\"\n condition: $a }\nrule x {\n meta: m = \"$a\" // $a\n "
     "strings:\n"
     " $ab = /x$a\\/$a/ /* $a\n */\n condition: $ab and\n $a\n}\nrule y { condition: true }",
     "x.yar:9: undefined string \"$a\""},
    {"rule w {\n condition:\n $a\n} rule y { condition: true }",
     "x.yar:3: undefined string \"$a\""},
    {"rule w { strings: $a = \"abcd\" condition: $a }\nrule y { condition: $a }",
     "x.yar:2: undefined string \"$a\""},
    {"rule x {\n strings:\n $a = \"abcd\"\n $b = \"efgh\"\n condition:\n $a\n}",
     "x.yar:4: unreferenced string \"$b\""},
    {"rule x {\n strings:\n $a = \"abcd\"\n $a = \"efgh\"\n condition:\n $a\n}",
     "x.yar:4: duplicated string identifier \"$a\""},
    {"rule x {\n condition:\n nothing\n\n}", "x.yar:3: undefined identifier \"nothing\""},
    {"rule x { condition: true }\nrule\n x\n\n{ condition: true }",
     "x.yar:3: duplicated identifier \"x\""},
    {"rule x { strings: $a = { 9 } condition: $a }", "x.yar:1: "},
    {"\n\nrule x { condition: ", "x.yar:3: "},
    {"rule x { strings: $a = /[/ condition: $a }", "x.yar:1: "},
    {"rubbish", "x.yar:1: "},
    {"include \"other.yar\"\nrule x { condition: true }", "x.yar:1: "},
    {"import \"nothing\"\nrule x { condition: true }", "x.yar:1: "},
    {"import \"pe\"\nrule x { condition: pe.is_dll() }", "x.yar:1: import \"pe\": only"},
    {"// import \"pe\"\nimport \"math\"\n/* import \"pe\"\n */ import /* \"pe\" */\n\"pe\"\n"
     "rule x { strings: $a = \"import \\\"pe\" condition: $a }",
     "x.yar:5: import \"pe\": only"},
    {"import \"elf\"\nrule x { condition: elf.type == 1 }", "x.yar:1: import \"elf\": only"},
    {"rule y { strings: $a = /\"/ condition: $a }\nrule x { condition: true }\nimport \"elf\"",
     "x.yar:3: import \"elf\": only"},
    {"rule x { condition: nothing == 1 }", "x.yar:1: undefined identifier"},
    {"// only a comment\n", "x.yar: has no rule"},
    {"", "x.yar: has no rule"},
};

START_TEST(mistake)
{
    struct patterns *patterns = NULL;
    struct error error = {"no error"};

    ck_assert_int_eq(
        patterns_compile(&patterns, "x.yar", mistakes[_i].text, strlen(mistakes[_i].text), &error),
        -EINVAL);
    ck_assert_ptr_null(patterns);
    ck_assert_msg(strncmp(error.text, mistakes[_i].error, strlen(mistakes[_i].error)) == 0, "%s",
                  error.text);
    ck_assert_ptr_null(strchr(error.text, '\n'));
}
END_TEST

START_TEST(no_text)
{
    struct patterns *patterns = NULL;
    struct error error;

    ck_assert_int_eq(patterns_compile(&patterns, "x.yar", "a\0b", 3, &error), -EINVAL);
    ck_assert_str_eq(error.text, "x.yar: is not a text file");
}
END_TEST

START_TEST(matches)
{
    static const struct {
        const char *bytes;
        size_t length;
        enum pattern_outcome outcome;
        size_t rules;
        const char *first;
    } rows[] = {{"", 0, PATTERNS_CLEAN, 0, NULL},
                {"MARKE", 5, PATTERNS_CLEAN, 0, NULL},
                {"xMARKERx", 8, PATTERNS_MATCHED, 1, "first"},
                {"\x90\x90\xcd\x80", 4, PATTERNS_MATCHED, 1, "second"},
                {"\x90\x90\xcd\x80MARKER", 10, PATTERNS_MATCHED, 2, "first"}};
    struct patterns *patterns = compile(marker);
    struct pattern_result result;

    ck_assert_uint_eq(patterns_rules(patterns), 2);
    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        patterns_scan(patterns, rows[i].bytes, rows[i].length, &result);
        ck_assert_int_eq(result.outcome, rows[i].outcome);
        ck_assert_uint_eq(result.rules, rows[i].rules);
        if (rows[i].first != NULL)
            ck_assert_str_eq(result.rule[0], rows[i].first);
    }
    patterns_destroy(patterns);
}
END_TEST

START_TEST(many_rules)
{
    char text[2048] = "";
    struct patterns *patterns;
    struct pattern_result result;

    for (int i = 0; i < 20; i++)
        sprintf(text + strlen(text), "rule r%d { condition: true }\n", i);
    patterns = compile(text);
    patterns_scan(patterns, "x", 1, &result);
    ck_assert_uint_eq(result.rules, 20);
    ck_assert_str_eq(result.rule[PATTERN_RULES_LIMIT - 1], "r7");
    patterns_destroy(patterns);
}
END_TEST

START_TEST(harmless_modules)
{
    struct patterns *patterns =
        compile("import \"math\"\nrule x { condition: math.entropy(0, filesize) > 7.0 }");
    struct pattern_result result;

    patterns_scan(patterns, "aaaa", 4, &result);
    ck_assert_int_eq(result.outcome, PATTERNS_CLEAN);
    patterns_destroy(patterns);
}
END_TEST

/* A rule that would take for ever ends, and its page is not one to run. */
START_TEST(bounded_time)
{
    static uint8_t bytes[64 * 4096];
    struct patterns *patterns =
        compile("rule x { condition: for all i in (0..10000000) : (for all j in (0..10000000) :"
                " (uint8(i % filesize) == uint8(j % filesize))) }");
    struct pattern_result result;

    patterns_scan(patterns, bytes, sizeof(bytes), &result);
    ck_assert_int_eq(result.outcome, PATTERNS_UNKNOWN);
    ck_assert_str_eq(result.why, "the scan took too long");
    patterns_destroy(patterns);
}
END_TEST

START_TEST(too_long)
{
    size_t length = PATTERN_PAGES_LIMIT * PAGE_SIZE + 1;
    uint8_t *bytes = calloc(1, length);
    struct patterns *patterns = compile(marker);
    struct pattern_result result;

    patterns_scan(patterns, bytes, length, &result);
    ck_assert_int_eq(result.outcome, PATTERNS_UNKNOWN);
    patterns_scan(patterns, bytes, length - 1, &result);
    ck_assert_int_eq(result.outcome, PATTERNS_CLEAN);
    free(bytes);
    patterns_destroy(patterns);
}
END_TEST

/* Four frames of a guest. */
static uint8_t memory[4][PAGE_SIZE];
static unsigned int reads;

static int read_frame(void *context, uint64_t frame, void *to)
{
    ck_assert_ptr_eq(context, memory);
    reads++;
    if (frame / PAGE_SIZE >= ELEMENTS(memory))
        return -EFAULT;
    memcpy(to, memory[frame / PAGE_SIZE], PAGE_SIZE);
    return 0;
}

static const struct pattern_source source = {read_frame, memory};

START_TEST(scanned_when_written)
{
    struct patterns *patterns = compile(marker);
    struct pattern_cache cache = {.scans = 0};
    struct pattern_page pages[] = {{0x401000, 0x1000, 7}, {0x402000, 0x3000, 1}};
    struct pattern_result result;

    for (int i = 0; i < 3; i++)
        patterns_check(patterns, &cache, pages, 2, &source, &result);
    ck_assert_int_eq(result.outcome, PATTERNS_CLEAN);
    ck_assert_uint_eq(cache.scans, 1);
    ck_assert_uint_eq(reads, 2);

    /* A write that the mechanism did not count is not seen: the generation is the contract. */
    memcpy(&memory[3][100], "MARKER", 6);
    patterns_check(patterns, &cache, pages, 2, &source, &result);
    ck_assert_int_eq(result.outcome, PATTERNS_CLEAN);
    pages[1].generation++;
    patterns_check(patterns, &cache, pages, 2, &source, &result);
    ck_assert_int_eq(result.outcome, PATTERNS_MATCHED);
    ck_assert_str_eq(result.rule[0], "first");
    ck_assert_uint_eq(cache.scans, 2);
    /* A match is remembered as well. */
    patterns_check(patterns, &cache, pages, 2, &source, &result);
    ck_assert_int_eq(result.outcome, PATTERNS_MATCHED);
    ck_assert_uint_eq(cache.scans, 2);
    /* Another frame with an equal number is another page. */
    pages[1].frame = 0x2000;
    patterns_check(patterns, &cache, pages, 2, &source, &result);
    ck_assert_int_eq(result.outcome, PATTERNS_CLEAN);
    ck_assert_uint_eq(cache.scans, 3);
    /* So is another number of pages. */
    patterns_check(patterns, &cache, pages, 1, &source, &result);
    ck_assert_uint_eq(cache.scans, 4);
    pattern_cache_destroy(&cache);
    patterns_destroy(patterns);
}
END_TEST

/* A pattern whose halves lie on two frames that are neighbours only by their linear addresses. */
START_TEST(across_pages)
{
    struct patterns *patterns = compile(marker);
    struct pattern_cache cache = {.scans = 0};
    struct pattern_page pages[] = {{0x401000, 0x3000, 1}, {0x402000, 0x1000, 1}};
    struct pattern_result result;

    memcpy(&memory[3][PAGE_SIZE - 3], "MAR", 3);
    memcpy(&memory[1][0], "KER", 3);
    patterns_check(patterns, &cache, pages, 2, &source, &result);
    ck_assert_int_eq(result.outcome, PATTERNS_MATCHED);
    pages[1].linear = 0x403000;
    patterns_check(patterns, &cache, pages, 2, &source, &result);
    ck_assert_int_eq(result.outcome, PATTERNS_CLEAN);
    pattern_cache_destroy(&cache);
    patterns_destroy(patterns);
}
END_TEST

START_TEST(unreadable)
{
    struct patterns *patterns = compile(marker);
    struct pattern_cache cache = {.scans = 0};
    struct pattern_page pages[] = {{0x401000, 0x1000, 1}, {0x402000, 0x9000, 1}};
    struct pattern_result result;

    for (int i = 0; i < 2; i++) {
        patterns_check(patterns, &cache, pages, 2, &source, &result);
        ck_assert_int_eq(result.outcome, PATTERNS_UNKNOWN);
        ck_assert_str_eq(result.why, "a page cannot be read");
    }
    ck_assert_uint_eq(cache.scans, 2);
    pattern_cache_destroy(&cache);
    patterns_destroy(patterns);
}
END_TEST

/* stacks/rules/example.yar */
static struct patterns *example(void)
{
    static char text[16384];
    char path[4096];
    const char *stacks = getenv("MEZZ_STACKS");
    FILE *file;
    size_t length;

    snprintf(path, sizeof(path), "%s/rules/example.yar", stacks != NULL ? stacks : "stacks");
    file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[length] = '\0';
    return compile(text);
}

START_TEST(example_rules)
{
    static const uint8_t shell[] = {0x48, 0xbb, '/',  'b',  'i',  'n',  '/', 's',
                                    'h',  0,    0x53, 0x54, 0x5f, 0x0f, 0x05};
    static const char text[] = "MEZZ\0MALICIOUS\0TEST\0MARKER";
    struct patterns *patterns = example();
    struct pattern_result result;
    uint8_t bytes[256];

    memset(bytes, 0x90, sizeof(bytes));
    patterns_scan(patterns, bytes, sizeof(bytes), &result);
    ck_assert_int_eq(result.outcome, PATTERNS_CLEAN);
    bytes[100] = 0xcd;
    bytes[101] = 0x80;
    patterns_scan(patterns, bytes, sizeof(bytes), &result);
    ck_assert_int_eq(result.outcome, PATTERNS_MATCHED);
    ck_assert_str_eq(result.rule[0], "nop_sled_to_system_call");
    /* Too short a sled. */
    patterns_scan(patterns, bytes + 72, 40, &result);
    ck_assert_int_eq(result.outcome, PATTERNS_CLEAN);
    patterns_scan(patterns, shell, sizeof(shell), &result);
    ck_assert_str_eq(result.rule[0], "shell_starter");
    patterns_scan(patterns, shell, sizeof(shell) - 1, &result);
    ck_assert_int_eq(result.outcome, PATTERNS_CLEAN);
    patterns_scan(patterns, text, sizeof(text), &result);
    ck_assert_str_eq(result.rule[0], "mezz_test_marker");
    patterns_destroy(patterns);
}
END_TEST

RUN_CASES("portions_patterns", 60, EACH(mistake, ELEMENTS(mistakes)), ONCE(no_text), ONCE(matches),
          ONCE(many_rules), ONCE(harmless_modules), ONCE(bounded_time), ONCE(too_long),
          ONCE(scanned_when_written), ONCE(across_pages), ONCE(unreadable), ONCE(example_rules))
