/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_l1.h"

/* The command line: PATH io|memory [stays] [l2s=N] [conditions=N]. */

static const char *const path_words[] = {
    [PATH_ROOT] = "root",         [PATH_GATE] = "gate",   [PATH_FAILED] = "failed",
    [PATH_CALLBACK] = "callback", [PATH_TURNS] = "turns", [PATH_REFLECT] = "reflect",
    [PATH_CLASSIC] = "classic",
};

/* What follows the word in the line, or NULL. */
static const char *skip(const char *line, const char *word)
{
    while (*word != '\0')
        if (*line++ != *word++)
            return 0;
    return line;
}

static unsigned int number_at(const char *text)
{
    unsigned int number = 0;

    while (*text >= '0' && *text <= '9')
        number = number * 10 + (unsigned int)(*text++ - '0');
    return number;
}

static void take_word(struct bench_setup *setup, const char *line)
{
    const char *value;

    if (skip(line, "memory"))
        setup->memory = true;
    if (skip(line, "stays"))
        setup->stays = true;
    value = skip(line, "l2s=");
    if (value)
        setup->l2s = number_at(value);
    value = skip(line, "conditions=");
    if (value)
        setup->conditions = number_at(value);
    for (unsigned int i = 0; i < sizeof(path_words) / sizeof(path_words[0]); i++)
        if (skip(line, path_words[i]))
            setup->path = (enum bench_path)i;
}

void setup_parse(struct bench_setup *setup, const char *line)
{
    *setup = (struct bench_setup){.l2s = 1};
    while (*line != '\0') {
        take_word(setup, line);
        while (*line != '\0' && *line != ' ')
            line++;
        while (*line == ' ')
            line++;
    }
    if (setup->l2s == 0 || setup->l2s > BENCH_MAX_L2 || setup->conditions > 8)
        give_up("the command line asks for too much\n");
}
