/* SPDX-License-Identifier: Apache-2.0 */
#include "docs_reader.h"

#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const abi_headers[ABI_HEADERS] = {"abi",  "callback", "calls", "ept", "errors",
                                              "exit", "gate",     "guest", "pvh", "vmcs12"};

char *read_source(const char *name)
{
    const char *stacks = getenv("MEZZ_STACKS");
    char path[1024];
    char *text;
    FILE *file;
    size_t size;

    snprintf(path, sizeof(path), "%s/../%s", stacks != NULL ? stacks : "stacks", name);
    file = fopen(path, "r");
    if (file == NULL)
        return NULL;
    text = malloc(1 << 20);
    if (text == NULL)
        abort();
    size = fread(text, 1, (1 << 20) - 1, file);
    text[size] = '\0';
    fclose(file);
    return text;
}

char *read_abi_header(size_t i)
{
    char name[64];
    char *text;

    snprintf(name, sizeof(name), "include/mezz/%s.h", abi_headers[i]);
    text = read_source(name);
    ck_assert_msg(text != NULL, "%s", name);
    return text;
}

bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static bool ends_with(const char *word, size_t length, const char *end)
{
    size_t n = strlen(end);

    return length >= n && memcmp(word + length - n, end, n) == 0;
}

bool is_internal(const char *word, size_t length)
{
    return ends_with(word, length, "_H") || ends_with(word, length, "_END") ||
           ends_with(word, length, "_COUNT") || strncmp(word, "MEZZ_PIN_LAYOUT", length) == 0 ||
           strncmp(word, "MEZZ_PIN_SIZE", length) == 0 || ends_with(word, length, "OWN_FIRST");
}

const char *docs_obstacle(void)
{
    char *doc = read_source("docs/abi.md");
    bool there = doc != NULL;

    free(doc);
    return there ? NULL : "the source tree is not here";
}
