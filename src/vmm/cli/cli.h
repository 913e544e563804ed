/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CLI_H
#define VMM_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The command line. Exit statuses; when several would do, the first of this list counts:
 *   128 + n  ended by signal n
 *   3        the host cannot: no KVM, no memory, an output that cannot be written
 *   2        bad usage or input: options, the stack file, an image
 *   4        a guest or L1 died (and the stack file did not say may_die)
 *   1        an expectation failed
 *   0        done
 */
enum cli_status {
    CLI_DONE = 0,
    CLI_EXPECTATION = 1,
    CLI_BAD_INPUT = 2,
    CLI_HOST = 3,
    CLI_DIED = 4,
    CLI_SIGNAL = 128
};

/* The values of an option that may be given several times. */
#define CLI_WORDS 64U
struct cli_words {
    const char *word[CLI_WORDS];
    size_t count;
};

struct cli_option {
    const char *name;   /* without the dashes; NULL ends a table */
    const char *letter; /* "v" for -v; NULL: none */
    const char *value;  /* what the help calls it; NULL: a flag */
    const char *help;
    bool *flag;              /* set to true */
    const char **text;       /* set to the value */
    bool optional;           /* the value may be left out: "-" is taken then */
    struct cli_words *words; /* instead of text: each value is added */
};

struct cli_command {
    const char *name;
    const char *usage; /* behind "mezz NAME " */
    const char *summary;
    int (*run)(int argc, char **argv, const struct cli_command *command);
};

/* "mezz: " and one line on stderr. */
void cli_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Reads argv[1..]: options into what they point to, the rest into operand[], which has room for
 * `operands` words. Returns how many there are, -1 after it has complained, or -2 after it has
 * printed the help. */
int cli_parse(int argc, char **argv, const struct cli_command *command,
              const struct cli_option *options, const char **operand, int operands);

/* What a command returns when cli_parse gave -1 or -2. */
int cli_parse_status(int result);

int cli_run(int argc, char **argv, const struct cli_command *command);
int cli_info(int argc, char **argv, const struct cli_command *command);
int cli_log(int argc, char **argv, const struct cli_command *command);
int cli_bench(int argc, char **argv, const struct cli_command *command);

/* Flushes stdout. 0, or CLI_HOST after it has complained that it cannot be written. earlier: errno
 * of a write that failed before, or 0. */
int cli_finish_stdout(int earlier);

/* The device that --kvm or MEZZ_KVM names; NULL: the usual one. */
const char *cli_kvm_device(const char *option);

#endif
