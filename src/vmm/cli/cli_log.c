/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hookguard/log/event_log.h"
#include "vmm/cli/cli.h"

/* mezz log verify */

/* A FIFO must not make us wait, and a device has no end. */
static FILE *open_log(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat status;
    FILE *file;

    if (fd < 0 || fstat(fd, &status) < 0) {
        cli_complain("%s: %s", path, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        cli_complain("%s: is not a regular file", path);
    } else if ((file = fdopen(fd, "r")) != NULL) {
        return file;
    } else {
        cli_complain("%s: %s", path, strerror(errno));
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

static int verify(const char *path, const char *head)
{
    FILE *file = open_log(path);
    struct log_report report;
    char text[256];
    int code;

    if (file == NULL)
        return CLI_BAD_INPUT;
    code = event_log_verify(file, head, &report);
    fclose(file);
    if (code != 0) {
        cli_complain("%s: %s", path, strerror(-code));
        return CLI_BAD_INPUT;
    }
    event_log_explain(&report, text, sizeof(text));
    if (report.verdict == LOG_NOT_A_LOG) {
        cli_complain("%s: %s", path, text);
        return CLI_BAD_INPUT;
    }
    printf("%s: %s\n", path, text);
    code = cli_finish_stdout(0);
    if (code != CLI_DONE)
        return code;
    return report.verdict == LOG_WHOLE ? CLI_DONE : CLI_EXPECTATION;
}

int cli_log(int argc, char **argv, const struct cli_command *command)
{
    const char *head = NULL;
    const char *operand[2];
    const struct cli_option options[] = {
        {"head", NULL, "HASH", "the last record's hash, as it was noted elsewhere", .text = &head},
        {.name = NULL},
    };
    int count = cli_parse(argc, argv, command, options, operand, 2);

    if (count < 0)
        return cli_parse_status(count);
    if (count != 2 || strcmp(operand[0], "verify") != 0) {
        cli_complain("log: usage: mezz log %s", command->usage);
        return CLI_BAD_INPUT;
    }
    if (head != NULL &&
        (strlen(head) != LOG_HASH_DIGITS || strspn(head, "0123456789abcdef") != LOG_HASH_DIGITS)) {
        cli_complain("log: --head: \"%.80s\" is not a hash of %d hexadecimal digits", head,
                     LOG_HASH_DIGITS);
        return CLI_BAD_INPUT;
    }
    return verify(operand[1], head);
}
