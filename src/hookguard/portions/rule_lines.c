/* SPDX-License-Identifier: Apache-2.0 */
#include "hookguard/portions/rule_lines.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define WORD "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

/* Behind what begins here with this character and ends with it, in this line. */
static const char *skip_quoted(const char *c)
{
    const char quote = *c;

    for (c++; *c != '\0' && *c != '\n' && *c != quote; c++)
        c += *c == '\\' && c[1] != '\0' && c[1] != '\n';
    return c + (*c == quote);
}

/* Behind a comment, a string, a regular expression or a word that begins here, or behind the one
 * character. */
static const char *skip_token(const char *c)
{
    const char *end;

    if (strncmp(c, "//", 2) == 0)
        return c + strcspn(c, "\n");
    if (strncmp(c, "/*", 2) == 0) {
        end = strstr(c + 2, "*/");
        return end != NULL ? end + 2 : c + strlen(c);
    }
    if (*c == '"' || *c == '/')
        return skip_quoted(c);
    end = c + strspn(c, WORD);
    return end != c ? end : c + 1;
}

int rule_line_of_import(const char *text, const char *module)
{
    bool imports = false;
    const char *end;
    int line = 1;

    for (const char *c = text; *c != '\0'; c = end) {
        const size_t length = strlen(module);

        end = skip_token(c);
        if (imports && *c == '"' && (size_t)(end - c) == length + 2 &&
            strncmp(c + 1, module, length) == 0)
            return line;
        if (strncmp(c, "import", 6) == 0 && end == c + 6)
            imports = true;
        else if (strchr(" \t\r\n", *c) == NULL && *c != '/')
            imports = false;
        for (; c < end; c++)
            line += *c == '\n';
    }
    return 0;
}

/* Whether the string's name is here, in any of its uses: $a, #a, @a, !a. name: without the $. */
static bool names_string(const char *c, const char *name, size_t length)
{
    return *c != '\0' && strchr("$#@!", *c) != NULL && strncmp(c + 1, name, length) == 0 &&
           strspn(c + 1 + length, WORD) == 0;
}

/* The first line of the rule at `last` that names the string: what is not defined stops libyara
 * where it first meets it, and what is not used is named once. Another rule may begin in that line.
 */
static int line_of_string(const char *text, const char *name, size_t length, int last)
{
    const char *end;
    int line = 1;
    int before = 0;
    int found = 0;

    for (const char *c = text; *c != '\0' && line <= last; c = end) {
        end = skip_token(c);
        if (end == c + 4 && strncmp(c, "rule", 4) == 0) {
            before = found;
            found = 0;
        } else if (found == 0 && names_string(c, name, length)) {
            found = line;
        }
        for (; c < end; c++)
            line += *c == '\n';
    }
    return found != 0 ? found : before;
}

int rule_line_of_message(const char *text, const char *message, int line)
{
    static const char *const beginnings[] = {"undefined string \"$", "unreferenced string \"$"};
    int found = 0;

    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        const size_t length = strlen(beginnings[i]);
        const char *name = message + length;

        /* "$*" are all, which are named otherwise, and where libyara says. */
        if (strncmp(message, beginnings[i], length) == 0 && *name != '*')
            found = line_of_string(text, name, strcspn(name, "*\""), line);
    }
    return found != 0 ? found : line;
}
