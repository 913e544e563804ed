/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/run_outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/cli/cli.h"
#include "vmm/cli/cli_output.h"

#define LOG_SIZE_LIMIT (1ULL << 30)

static bool is_stdout(const char *path)
{
    return path != NULL && strcmp(path, "-") == 0;
}

int run_outputs_terminal(const struct run_outputs *outputs)
{
    const bool json = is_stdout(outputs->json_path);
    const bool trace = is_stdout(outputs->trace_path);

    if (!json || !trace)
        return json || trace ? STDERR_FILENO : STDOUT_FILENO;
    cli_complain("--json and --trace cannot both be the standard output");
    return -1;
}

/* A pipe without a reader is an error and not a wait. 0 or -1 with errno. */
static int open_trace(struct run_outputs *outputs)
{
    const char *path = outputs->trace_path;
    int fd = STDOUT_FILENO;

    if (!is_stdout(path)) {
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
        if (fd < 0)
            return -1;
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    }
    outputs->trace = patient_open(&outputs->trace_patience, fd);
    if (outputs->trace != NULL)
        return 0;
    if (fd != STDOUT_FILENO)
        close(fd);
    errno = ENOMEM;
    return -1;
}

/* Devices and pipes may be named twice. */
static bool is_same_file(const char *path, const char *other)
{
    struct stat status;
    struct stat another;

    if (stat(path, &status) < 0)
        return strcmp(path, other) == 0 && !is_stdout(path);
    return S_ISREG(status.st_mode) && stat(other, &another) == 0 &&
           status.st_dev == another.st_dev && status.st_ino == another.st_ino;
}

/* One would write over the other. */
static bool are_different(const struct run_outputs *outputs, const char *stack_file)
{
    const struct {
        const char *option;
        const char *path;
    } file[] = {{"the stack file", stack_file},
                {"--json", outputs->json_path},
                {"--trace", outputs->trace_path},
                {"--log", outputs->log_path}};
    const size_t files = sizeof(file) / sizeof(file[0]);

    for (size_t i = 0; i < files; i++)
        for (size_t other = 0; other < i; other++)
            if (file[i].path != NULL && file[other].path != NULL &&
                is_same_file(file[i].path, file[other].path)) {
                cli_complain("%s: %s: is %s, too", file[i].option, file[i].path,
                             file[other].option);
                return false;
            }
    return true;
}

int run_outputs_open(struct run_outputs *outputs, const char *stack_file)
{
    struct error error;

    if (!are_different(outputs, stack_file))
        return CLI_BAD_INPUT;
    if (outputs->json_path != NULL && output_check(outputs->json_path, &error) != 0) {
        cli_complain("--json: %s", error.text);
        return CLI_BAD_INPUT;
    }
    if (is_stdout(outputs->log_path)) {
        cli_complain("--log: a log is a file of its own, to be verified later: -");
        return CLI_BAD_INPUT;
    }
    if (outputs->log_path != NULL) {
        const struct event_log_config log = {.path = outputs->log_path,
                                             .program = "mezz " MEZZ_PROGRAM_VERSION,
                                             .size_limit = LOG_SIZE_LIMIT};

        const int code = event_log_open(&outputs->log, &log, &error);

        if (code != 0) {
            cli_complain("--log: %s", error.text);
            return code == -ENOMEM ? CLI_HOST : CLI_BAD_INPUT;
        }
    }
    if (outputs->trace_path == NULL || open_trace(outputs) == 0)
        return CLI_DONE;
    cli_complain("--trace: %s: cannot write: %s", outputs->trace_path, strerror(errno));
    return CLI_BAD_INPUT;
}

static int close_trace(struct run_outputs *outputs, int status)
{
    struct patience *patience = &outputs->trace_patience;

    if (outputs->trace == NULL)
        return status;
    fclose(outputs->trace);
    if (patience->fd != STDOUT_FILENO && close(patience->fd) < 0 && patience->error == 0)
        patience->error = errno;
    if (patience->error == 0)
        return status;
    cli_complain("%s: cannot write: %s", outputs->trace_path, strerror(patience->error));
    return status < CLI_SIGNAL ? CLI_HOST : status;
}

static int close_log(struct run_outputs *outputs, FILE *out, uint64_t run_ns, int status)
{
    char head[LOG_HASH_DIGITS + 1];
    const uint64_t events = event_log_events(outputs->log);
    struct error error;

    if (event_log_close(outputs->log, run_ns, head, &error) == 0) {
        fprintf(out, "log %s: %llu events, head %s\n", outputs->log_path,
                (unsigned long long)events, head);
        return status;
    }
    cli_complain("--log: %s", error.text);
    return status < CLI_SIGNAL ? CLI_HOST : status;
}

int run_outputs_close(struct run_outputs *outputs, FILE *out, uint64_t run_ns, bool abandoned,
                      int status)
{
    if (outputs->log != NULL && abandoned)
        event_log_abandon(outputs->log);
    else if (outputs->log != NULL)
        status = close_log(outputs, out, run_ns, status);
    return close_trace(outputs, status);
}
