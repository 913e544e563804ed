/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cli/cli.h"
#include "vmm/stack/script_units.h"

#define LINE_SIZE    1024U
#define PARSE_FAILED -1
#define PARSE_HELP   -2
#define HELP_COLUMN  24

void cli_complain(const char *format, ...)
{
    char line[LINE_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    /* One line, whatever a file name brought along. */
    for (char *c = line; *c != '\0'; c++)
        if (iscntrl((unsigned char)*c))
            *c = '?';
    fprintf(stderr, "mezz: %s\n", line);
}

int cli_finish_stdout(int earlier)
{
    int code = fflush(stdout) == 0 ? 0 : errno;

    if (code == 0 && earlier == 0 && !ferror(stdout))
        return CLI_DONE;
    if (earlier != 0)
        code = earlier;
    cli_complain("cannot write to the standard output: %s",
                 code != 0 ? strerror(code) : "an earlier write failed");
    return CLI_HOST;
}

const char *cli_kvm_device(const char *option)
{
    const char *variable = getenv("MEZZ_KVM");

    if (option != NULL)
        return option;
    return variable != NULL && variable[0] != '\0' ? variable : NULL;
}

static void print_help(const struct cli_command *command, const struct cli_option *options)
{
    printf("usage: mezz %s %s\n%s\n\n", command->name, command->usage, command->summary);
    for (; options->name != NULL; options++) {
        char left[64];
        const char *letter = options->letter;

        snprintf(left, sizeof(left), "%s%s%s--%s%s%s", letter != NULL ? "-" : "",
                 letter != NULL ? letter : "", letter != NULL ? ", " : "", options->name,
                 options->value != NULL ? " " : "", options->value != NULL ? options->value : "");
        printf("  %-*s%s\n", HELP_COLUMN, left, options->help);
    }
    printf("  %-*s%s\n", HELP_COLUMN, "--help", "this text");
}

static const char *option_name(const void *context, size_t i)
{
    return ((const struct cli_option *)context)[i].name;
}

/* word: an argument that begins with a dash. */
static const struct cli_option *find_option(const char *word, size_t length,
                                            const struct cli_option *options)
{
    for (; options->name != NULL; options++) {
        if (word[1] != '-' && options->letter != NULL && strcmp(word + 1, options->letter) == 0)
            return options;
        if (word[1] == '-' && strlen(options->name) == length - 2 &&
            strncmp(word + 2, options->name, length - 2) == 0)
            return options;
    }
    return NULL;
}

static int unknown_option(const struct cli_command *command, const struct cli_option *options,
                          const char *word)
{
    const char *meant = word[1] == '-' ? script_did_you_mean(word + 2, option_name, options) : NULL;

    if (meant != NULL)
        cli_complain("%s: unknown option %s; did you mean --%s?", command->name, word, meant);
    else
        cli_complain("%s: unknown option %s; mezz %s --help lists them", command->name, word,
                     command->name);
    return PARSE_FAILED;
}

static int take_value(const struct cli_command *command, const struct cli_option *option,
                      const char *value)
{
    struct cli_words *words = option->words;

    if (words == NULL) {
        *option->text = value;
        return 0;
    }
    if (words->count == CLI_WORDS) {
        cli_complain("%s: --%s more than %u times", command->name, option->name, CLI_WORDS);
        return PARSE_FAILED;
    }
    words->word[words->count++] = value;
    return 0;
}

/* argv[*i] begins with a dash. Moves *i to the last word that belongs to it. */
static int take_option(int argc, char **argv, int *i, const struct cli_command *command,
                       const struct cli_option *options)
{
    const char *word = argv[*i];
    const char *equals = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
    size_t length = equals != NULL ? (size_t)(equals - word) : strlen(word);
    const struct cli_option *option = find_option(word, length, options);

    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_help(command, options);
        return PARSE_HELP;
    }
    if (option == NULL)
        return unknown_option(command, options, word);
    if (option->value == NULL && equals != NULL) {
        cli_complain("%s: --%s takes no value", command->name, option->name);
        return PARSE_FAILED;
    }
    if (option->value == NULL) {
        *option->flag = true;
        return 0;
    }
    if (equals != NULL)
        return take_value(command, option, equals + 1);
    if (*i + 1 < argc && (argv[*i + 1][0] != '-' || argv[*i + 1][1] == '\0'))
        return take_value(command, option, argv[++*i]);
    if (option->optional)
        return take_value(command, option, "-");
    cli_complain("%s: --%s needs a value: --%s %s", command->name, option->name, option->name,
                 option->value);
    return PARSE_FAILED;
}

int cli_parse(int argc, char **argv, const struct cli_command *command,
              const struct cli_option *options, const char **operand, int operands)
{
    bool only_operands = false;
    int count = 0;

    for (int i = 1; i < argc; i++) {
        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = true;
        } else if (!only_operands && argv[i][0] == '-' && argv[i][1] != '\0') {
            int result = take_option(argc, argv, &i, command, options);

            if (result != 0)
                return result;
        } else if (count == operands) {
            cli_complain("%s: \"%s\" is one argument too many; usage: mezz %s %s", command->name,
                         argv[i], command->name, command->usage);
            return PARSE_FAILED;
        } else {
            operand[count++] = argv[i];
        }
    }
    return count;
}

int cli_parse_status(int result)
{
    return result == PARSE_HELP ? cli_finish_stdout(0) : CLI_BAD_INPUT;
}
