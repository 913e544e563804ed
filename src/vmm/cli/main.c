/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mezz/abi.h"
#include "vmm/cli/cli.h"
#include "vmm/stack/script_units.h"

static const struct cli_command commands[] = {
    {"run", "FILE [--json OUT] [--trace OUT] [--log FILE] [-v]",
     "Runs a stack file: a machine of several levels.", cli_run},
    {"info", "[--json [OUT]]", "Says what this host's KVM can do.", cli_info},
    {"log", "verify FILE [--head HASH]", "Says whether a log is whole.", cli_log},
    {"bench", "[--json [OUT]] [--quick] [--views] [--only NAME]...",
     "Measures what the levels cost.", cli_bench},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const char *command_name(const void *context, size_t i)
{
    (void)context;
    return i < COMMAND_COUNT ? commands[i].name : NULL;
}

static void print_help(FILE *to)
{
    fprintf(to, "mezz: a root hypervisor in one process, on /dev/kvm\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(to, "  mezz %s %s\n      %s\n", commands[i].name, commands[i].usage,
                commands[i].summary);
    fprintf(to, "  mezz COMMAND --help\n      Says more about a command.\n"
                "  mezz --version\n      The versions of this program and of its ABI.\n\n"
                "Exit status: 0 done, 1 an expectation failed, 2 bad usage or input, 3 the host\n"
                "cannot, 4 a guest or L1 died, 128 + n ended by signal n.\n");
}

static int unknown_command(const char *word)
{
    const char *meant = script_did_you_mean(word, command_name, NULL);

    if (meant != NULL)
        cli_complain("no such command: %s; did you mean %s?", word, meant);
    else
        cli_complain("no such command: %s; mezz --help lists them", word);
    return CLI_BAD_INPUT;
}

static const struct cli_command *find_command(const char *word)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(word, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

static int too_many(const char *word, const char *more)
{
    cli_complain("%s: \"%s\" is one argument too many", word, more);
    return CLI_BAD_INPUT;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

/* mezz help [COMMAND] */
static int help(int argc, char **argv)
{
    static char option[] = "--help";
    const struct cli_command *command;

    if (argc > 3)
        return too_many(argv[1], argv[3]);
    if (argc == 2) {
        print_help(stdout);
        return cli_finish_stdout(0);
    }
    command = find_command(argv[2]);
    if (command == NULL)
        return unknown_command(argv[2]);
    return command->run(2, (char *[]){argv[2], option, NULL}, command);
}

/* Without it the next file that is opened would get the number of a standard stream that is closed,
 * and with it what is written there. Writing to these fails as it does to one that is closed. */
static bool occupy_standard_streams(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int main(int argc, char **argv)
{
    if (!occupy_standard_streams()) {
        cli_complain("/dev/null: %s", strerror(errno));
        return CLI_HOST;
    }
    /* A reader that went away, or a limit of file sizes, is an error of the write, not a death in
     * the middle of a run. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 2) {
        cli_complain("no command; mezz --help lists them");
        return CLI_BAD_INPUT;
    }
    const struct cli_command *command = find_command(argv[1]);

    if (command != NULL)
        return command->run(argc - 1, argv + 1, command);
    if (is_help(argv[1]))
        return help(argc, argv);
    if (strcmp(argv[1], "--version") != 0)
        return unknown_command(argv[1]);
    if (argc > 2)
        return too_many(argv[1], argv[2]);
    printf("mezz %s, ABI version %u\n", MEZZ_PROGRAM_VERSION, MEZZ_ABI_VERSION);
    return cli_finish_stdout(0);
}
