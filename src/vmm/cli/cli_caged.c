/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/cli_caged.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/cli/cli_channel.h"
#include "vmm/cli/cli_events.h"
#include "vmm/cli/cli_signals.h"

/* That a process has to end in, once it has closed the channel. */
#define LAST_WORDS_MS 1000
/* caged_run.spare_ms */
#define SPARE_MS 30000
/* The exit status of a process that could not send what it had to. */
#define MUTE 3

/* The process that runs the machine. */
struct inside {
    struct caged_run *run;
    struct event_line *line; /* NULL: nobody hears of events */
    const struct guard_listener *listener;
    int outputs[5]; /* what it may write to */
    size_t output_count;
    int channel;
    int *inherited; /* what was open before the machine was built, but for the outputs */
    size_t inherited_count;
};

static bool is_output(const struct inside *inside, int fd)
{
    for (size_t i = 0; i < inside->output_count; i++)
        if (inside->outputs[i] == fd)
            return true;
    return false;
}

static int add_inherited(struct inside *inside, int fd)
{
    const size_t size = (inside->inherited_count + 1) * sizeof(*inside->inherited);
    int *more = realloc(inside->inherited, size);

    if (more == NULL)
        return -ENOMEM;
    inside->inherited = more;
    inside->inherited[inside->inherited_count++] = fd;
    return 0;
}

/* All of them, whatever their number: a limit may be lower than what was opened before it. */
static int note_inherited(struct inside *inside, struct error *error)
{
    DIR *files = opendir("/proc/self/fd");
    const struct dirent *entry;
    int code = files != NULL ? 0 : -errno;

    while (code == 0 && (entry = readdir(files)) != NULL) {
        const int fd = (int)strtol(entry->d_name, NULL, 10);

        if (entry->d_name[0] != '.' && fd != dirfd(files) && !is_output(inside, fd))
            code = add_inherited(inside, fd);
    }
    if (files != NULL)
        closedir(files);
    if (code != 0)
        error_set(error, -code, "what is open cannot be found out (/proc/self/fd): %s",
                  strerror(-code));
    return code;
}

/* Only now: the machine may have been built from one of them (--kvm /dev/fd/5). */
static void close_inherited(const struct inside *inside)
{
    for (size_t i = 0; i < inside->inherited_count; i++)
        close(inside->inherited[i]);
}

/* What a shell or a CI has there is nobody's in the cage. Only now: the machine may have been built
 * from what one of them names. */
static void forget_environment(void)
{
    for (char **variable = environ; *variable != NULL; variable++)
        memset(*variable, 0, strlen(*variable));
}

static void add_output(struct inside *inside, int fd)
{
    if (fd >= 0)
        inside->outputs[inside->output_count++] = fd;
}

static int build(const struct inside *inside, struct machine **machine, struct error *error)
{
    struct cage_config cage_config = {inside->outputs, inside->output_count};
    struct machine_config config = *inside->run->config;
    int code = cage_create(&config.cage, &cage_config, error);

    config.listener = inside->listener;
    if (code == 0)
        code = machine_create(machine, &config, error);
    if (code == 0)
        code = cage_close(config.cage, error);
    return code;
}

static bool send_report(const struct inside *inside, const struct machine_report *report)
{
    const struct patience *trace = inside->run->trace;
    struct event_log *log = inside->run->config->log;
    struct channel_end end = {.terminal_error = inside->run->terminal->patience.error};
    size_t length = 0;
    void *bytes = report_pack(report, &length);

    if (trace != NULL) {
        fflush(inside->run->config->trace);
        end.trace_error = trace->error;
    }
    if (inside->line != NULL)
        end.event_error = event_line_error(inside->line);
    if (log != NULL) {
        event_log_flush(log);
        event_log_tell(log, &end.log);
    }
    if (bytes == NULL) {
        end.report_error = ENOMEM;
        length = 0;
    }
    return channel_send_report(inside->channel, bytes, length, &end);
}

_Noreturn static void run_inside(struct caged_run *run, struct event_line *line, int channel)
{
    static struct inside inside;
    const struct machine_config *config = run->config;
    struct machine_report report;
    struct machine *machine;
    struct error error;
    int code;

    inside.run = run;
    inside.channel = channel;
    inside.line = line;
    inside.listener = line != NULL ? event_line_listener(line, channel) : NULL;
    add_output(&inside, STDOUT_FILENO);
    add_output(&inside, STDERR_FILENO);
    add_output(&inside, channel);
    if (run->trace != NULL)
        add_output(&inside, run->trace->fd);
    if (config->log != NULL)
        add_output(&inside, event_log_file(config->log));
    code = note_inherited(&inside, &error);
    if (code == 0)
        code = build(&inside, &machine, &error);
    if (code != 0)
        _exit(channel_send_failure(channel, code, &error) ? EXIT_FAILURE : MUTE);
    close_inherited(&inside);
    forget_environment();
    if (!channel_send_start(channel))
        _exit(MUTE);
    cli_signals_watch(machine);
    machine_run(machine, &report);
    terminal_end_line(run->terminal);
    _exit(send_report(&inside, &report) ? EXIT_SUCCESS : MUTE);
}

/* The machine's process does not outlive this one, whatever ends it. */
static void tie_to_parent(pid_t parent, int channel)
{
    struct error error;
    int code;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
        code = error_set(&error, errno, "the machine's process: prctl: %s", strerror(errno));
        _exit(channel_send_failure(channel, code, &error) ? EXIT_FAILURE : MUTE);
    }
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
}

static pid_t start(struct caged_run *run, struct event_line *line, int channel, struct error *error)
{
    pid_t parent = getpid();
    sigset_t before;
    pid_t child;

    fflush(NULL);
    cli_signals_hold(&before);
    child = fork();
    if (child == 0) {
        tie_to_parent(parent, channel);
        cli_signals_catch_all();
        cli_signals_release(&before);
        run_inside(run, line, channel);
    }
    if (child < 0)
        error_set(error, errno, "no process for the machine: %s", strerror(errno));
    else
        cli_signals_forward(child);
    cli_signals_release(&before);
    return child;
}

static unsigned int spare_ms(const struct caged_run *run)
{
    return run->spare_ms != 0 ? run->spare_ms : SPARE_MS;
}

static uint64_t limit_ms(const struct caged_run *run)
{
    return run->config->timeout_ns / 1000000 + spare_ms(run);
}

/* How a process ended that sent no report. */
struct death {
    int status;  /* of waitpid() */
    bool late;   /* it took longer than limit_ms() and was killed for that */
    bool stayed; /* it closed the channel and went on, until it was killed for that */
};

/* What else no part of mezz does counts as what a taken-over root does, as in take_result(). */
static int explain_death(struct caged_run *run, const struct death *death, struct error *error)
{
    const char *why = "";

    run->abandoned = true;
    if (!death->late && !death->stayed && WIFEXITED(death->status) &&
        WEXITSTATUS(death->status) == MUTE)
        return error_set(error, ECOMM, "the root could not send its report");
    run->signal_number = SIGSYS;
    if (death->late)
        return error_set(error, ECHILD,
                         "the root went on for %llu s beyond its machine's time, and was killed",
                         (unsigned long long)(spare_ms(run) / 1000));
    if (death->stayed)
        return error_set(error, ECHILD,
                         "the root closed its way to report, went on, and was killed");
    if (WIFEXITED(death->status))
        return error_set(error, ECHILD, "the root ended with status %d and without a report",
                         WEXITSTATUS(death->status));
    run->signal_number = WTERMSIG(death->status);
    if (run->signal_number == SIGSYS)
        why = ": its cage ends it so for a system call that is not allowed, a mistake in mezz or a "
              "guest that has taken it over (docs/security.md tells how to see which call)";
    return error_set(error, ECHILD, "the root died of SIG%s while it ran the machine%s",
                     sigabbrev_np(run->signal_number), why);
}

static int explain_lie(struct caged_run *run, struct error *error)
{
    run->signal_number = SIGSYS;
    run->abandoned = true;
    return error_set(error, ECHILD, "the root sent a report that is none");
}

static int take_result(struct caged_run *run, struct channel_result *result,
                       const struct death *death, struct machine_report *report,
                       struct error *error)
{
    int code = 0;

    if (result->failure != 0) {
        *error = result->error;
        return result->failure;
    }
    if (result->lied)
        return explain_lie(run, error);
    if (!result->ended)
        return explain_death(run, death, error);
    if (run->trace != NULL)
        patient_fail(run->trace, result->end.trace_error);
    patient_fail(&run->terminal->patience, result->end.terminal_error);
    if (run->config->log != NULL)
        code = event_log_go_on(run->config->log, &result->end.log);
    run->abandoned = code != 0;
    if (code == 0 && result->end.report_error != 0)
        return error_set(error, ENOMEM, "no memory to report what the machine did");
    if (code == 0)
        code = report_unpack(report, result->report, result->length);
    if (code == -ENOMEM)
        return error_set(error, ENOMEM, "no memory for the run's report");
    if (code != 0)
        return explain_lie(run, error);
    if (result->end.event_error == 0)
        return 0;
    report_release(report);
    return error_set(error, ECOMM, "an event did not reach the stack file: %s",
                     strerror(result->end.event_error));
}

/* Both ends of the way to the machine's process. */
struct way {
    int ends[2];
    struct event_line *line; /* NULL: nobody hears of events */
    const struct machine_config *config;
};

static void take_event(void *context, const void *bytes, size_t length)
{
    const struct way *way = context;

    event_line_take(way->line, way->config, bytes, length);
}

static int open_way(struct way *way, const struct machine_config *config, struct error *error)
{
    int code = channel_open(way->ends);

    way->config = config;
    way->line = NULL;
    if (code != 0)
        return error_set(error, -code, "no channel to the machine: %s", strerror(-code));
    if (config->listener == NULL || (way->line = event_line_open()) != NULL)
        return 0;
    close(way->ends[0]);
    close(way->ends[1]);
    return error_set(error, ENOMEM, "no memory for the machine's events");
}

static void close_way(const struct way *way)
{
    close(way->ends[0]);
    if (way->line != NULL)
        event_line_close(way->line);
}

/* One that closed the channel without a report is about to end, and how it ends is to be told. One
 * that stays all the same is not waited for. */
static struct death see_off(pid_t child, bool reported)
{
    struct pollfd end = {.fd = -1, .events = POLLIN};
    struct death death = {.stayed = false};
    int ready;

    if (!reported)
        end.fd = (int)syscall(SYS_pidfd_open, child, 0);
    if (end.fd >= 0) {
        while ((ready = poll(&end, 1, LAST_WORDS_MS)) < 0 && errno == EINTR)
            ;
        death.stayed = ready == 0;
        close(end.fd);
    }
    kill(child, SIGKILL);
    while (waitpid(child, &death.status, 0) < 0 && errno == EINTR)
        ;
    return death;
}

int caged_run(struct caged_run *run, struct machine_report *report, struct error *error)
{
    struct channel_result result;
    struct channel_ear ear;
    struct death death;
    struct way way;
    pid_t child;
    int code = open_way(&way, run->config, error);

    if (code != 0)
        return code;
    child = start(run, way.line, way.ends[1], error);
    close(way.ends[1]);
    if (child < 0) {
        close_way(&way);
        return -EAGAIN;
    }
    ear = (struct channel_ear){&way, take_event};
    code = channel_receive(way.ends[0], way.line != NULL ? &ear : NULL, limit_ms(run), &result);
    close_way(&way);
    cli_signals_forward(0);
    death = see_off(child, code == -ETIME ||
                               (code == 0 && (result.ended || result.lied || result.failure != 0)));
    death.late = code == -ETIME;
    run->abandoned = code != 0;
    if (death.late)
        code = explain_death(run, &death, error);
    else if (code != 0)
        error_set(error, -code, "the machine's report: %s", strerror(-code));
    else
        code = take_result(run, &result, &death, report, error);
    free(result.report);
    return code;
}
