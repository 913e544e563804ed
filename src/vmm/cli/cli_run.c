/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/clock.h"
#include "vmm/cli/cli.h"
#include "vmm/cli/cli_caged.h"
#include "vmm/cli/cli_images.h"
#include "vmm/cli/cli_output.h"
#include "vmm/cli/cli_show.h"
#include "vmm/cli/cli_signals.h"
#include "vmm/cli/cli_terminal.h"
#include "vmm/cli/info.h"
#include "vmm/cli/report_json.h"
#include "vmm/cli/run_outputs.h"
#include "vmm/stack/script.h"

/* mezz run FILE */

struct run_options {
    const char *file;
    const char *images;
    const char *kvm;
    bool verbose;
    bool no_colour;
    bool no_cage;
};

struct run {
    struct run_options options;
    struct terminal terminal;
    struct run_outputs outputs;
    uint64_t begun_ns;
    int death;           /* signal that ended the machine's process; 0: none did */
    bool abandoned;      /* the log ends with that process */
    uint64_t started_ns; /* of the process; 0 once a machine has run */
};

static size_t longest_name(const struct machine_config *config)
{
    size_t longest = strlen("stack");

    for (unsigned int i = 0; i < config->l2_count; i++)
        if (strlen("L2 ") + strlen(config->l2[i].name) > longest)
            longest = strlen("L2 ") + strlen(config->l2[i].name);
    return longest;
}

/* The machine in this process: --no-cage. */
static int run_uncaged(struct run *run, const struct machine_config *config,
                       struct machine_report *kept, struct error *error)
{
    struct machine_report report;
    struct machine *machine;
    int code = machine_create(&machine, config, error);

    if (code != 0)
        return code;
    cli_signals_watch(machine);
    machine_run(machine, &report);
    cli_signals_watch(NULL);
    terminal_end_line(&run->terminal);
    code = report_copy(kept, &report);
    machine_destroy(machine);
    return code == 0 ? 0 : error_set(error, -code, "no memory for the run's report");
}

static int run_caged(struct run *run, const struct machine_config *config,
                     struct machine_report *kept, struct error *error)
{
    struct caged_run caged = {
        .config = config,
        .terminal = &run->terminal,
        .trace = config->trace != NULL ? &run->outputs.trace_patience : NULL,
    };
    int code = caged_run(&caged, kept, error);

    run->death = caged.signal_number;
    run->abandoned |= caged.abandoned;
    /* It may have come to that process alone. */
    if (code == 0 && kept->end == MACHINE_STOPPED && cli_signal == 0)
        cli_signal = kept->signal_number;
    return code;
}

/* script_host.run */
static int run_machine(void *context, const struct machine_config *wanted, struct script_run *kept,
                       struct error *error)
{
    struct run *run = context;
    struct machine_config config = *wanted;
    uint64_t give_up_at;
    int code;

    config.kvm_device = cli_kvm_device(run->options.kvm);
    config.process_started_ns = run->started_ns;
    config.trace = run->outputs.trace;
    config.log = run->outputs.log;
    if (config.log != NULL)
        event_log_begin_run(config.log);
    config.console = terminal_write;
    config.console_context = &run->terminal;
    run->started_ns = 0;
    give_up_at = clock_now_ns() + config.timeout_ns;
    if (kept->quiet && !run->options.verbose)
        terminal_begin_silent(&run->terminal, kept->title, give_up_at);
    else
        terminal_begin(&run->terminal, longest_name(&config), give_up_at);
    if (!run->terminal.silent && kept->title[0] != '\0')
        fprintf(run->terminal.out, "== %s\n", kept->title);
    atomic_store(&run->outputs.trace_patience.give_up_at, give_up_at);
    if (run->options.no_cage)
        code = run_uncaged(run, &config, &kept->report, error);
    else
        code = run_caged(run, &config, &kept->report, error);
    terminal_end(&run->terminal);
    if (code != 0)
        return code;
    show_run(&run->terminal, run->options.file, kept, run->options.verbose);
    return 0;
}

/* script_host.failed */
static void expectation_failed(void *context, unsigned int line, const char *what)
{
    struct run *run = context;

    terminal_end_line(&run->terminal);
    cli_complain("%s:%u: expectation failed: %s", run->options.file, line, what);
}

/* script_host.print */
static void print_text(void *context, const char *text, size_t length)
{
    struct run *run = context;

    terminal_print(&run->terminal, text, length);
}

static int status_of(const struct run *run, const struct script_record *record, int code)
{
    static const int bad_input[] = {EINVAL, ENOENT, EACCES, EPERM, EISDIR,      ENOTDIR,
                                    ELOOP,  ENXIO,  EFBIG,  EIO,   ENAMETOOLONG};

    if (cli_signal == SIGPIPE)
        return CLI_HOST;
    if (cli_signal != 0)
        return CLI_SIGNAL + cli_signal;
    if (run->death != 0)
        return CLI_SIGNAL + run->death;
    for (size_t i = 0; i < sizeof(bad_input) / sizeof(bad_input[0]); i++)
        if (code == -bad_input[i])
            return CLI_BAD_INPUT;
    if (code != 0)
        return CLI_HOST;
    for (size_t i = 0; i < record->run_count; i++)
        if (!record->runs[i].may_die && report_has_death(&record->runs[i].report))
            return CLI_DIED;
    return record->failed != 0 ? CLI_EXPECTATION : CLI_DONE;
}

/* 0, or CLI_HOST after it has complained. */
static int write_json(const struct run *run, const struct report_facts *facts)
{
    char *text = report_json(facts);
    struct error error;
    int code;

    if (text == NULL)
        code = error_set(&error, ENOMEM, "out of memory for the JSON");
    else
        code = output_write(run->outputs.json_path, text, strlen(text), &error);
    free(text);
    if (code == 0)
        return CLI_DONE;
    cli_complain("%s", error.text);
    return CLI_HOST;
}

static int finish(struct run *run, const struct script_record *record, int code,
                  struct error *error)
{
    struct report_facts facts = {
        .record = record,
        .error = code != 0 ? error->text : "",
        .kvm = info_kvm_name(),
        .lane = getenv("MEZZ_LANE"),
    };

    show_expectations(&run->terminal, record, run->options.verbose);
    fflush(run->terminal.out);
    facts.exit_status = status_of(run, record, code);
    if (cli_signal != 0 && cli_signal != SIGPIPE)
        cli_complain("%s%sended by SIG%s", facts.error, code != 0 ? ": " : "",
                     sigabbrev_np(cli_signal));
    else if (code != 0 && cli_signal == 0)
        cli_complain("%s", error->text);
    if (facts.exit_status < CLI_SIGNAL && run->terminal.patience.fd == STDOUT_FILENO &&
        cli_finish_stdout(run->terminal.patience.error) != CLI_DONE)
        facts.exit_status = CLI_HOST;
    if (run->outputs.json_path != NULL && write_json(run, &facts) != CLI_DONE &&
        facts.exit_status < CLI_SIGNAL)
        facts.exit_status = CLI_HOST;
    return facts.exit_status;
}

static int run_file(struct run *run, const char *const *directories)
{
    const struct script_host host = {
        .context = run,
        .run = run_machine,
        .print = print_text,
        .failed = expectation_failed,
    };
    const struct script_config config = {
        .path = run->options.file,
        .directories = directories,
        .host = &host,
        .interrupted = &cli_signal,
    };
    struct script *script;
    struct error error;
    int code = script_create(&script, &config, &error);
    int status;

    if (code != 0) {
        cli_complain("%s", error.text);
        return CLI_HOST;
    }
    code = script_execute(script, &error);
    status = finish(run, script_record(script), code, &error);
    script_destroy(script);
    return status;
}

/* It knows what no printer does: colours, and lines that are taken back. */
static bool is_terminal(int fd)
{
    const char *kind = getenv("TERM");

    return kind != NULL && strcmp(kind, "dumb") != 0 && isatty(fd);
}

static bool wants_colours(const struct run_options *options)
{
    const char *no_color = getenv("NO_COLOR");

    return !options->no_colour && (no_color == NULL || no_color[0] == '\0');
}

/* A log that ends with the process that wrote it stays as it is. */
static int close_outputs(struct run *run, int status)
{
    struct terminal *terminal = &run->terminal;

    status = run_outputs_close(&run->outputs, terminal->out, clock_now_ns() - run->begun_ns,
                               run->abandoned, status);
    /* An earlier error was told by finish(). */
    if (fflush(terminal->out) == 0 || status >= CLI_SIGNAL || status == CLI_HOST)
        return status;
    cli_complain("cannot write: %s", strerror(terminal->patience.error));
    return CLI_HOST;
}

static int run_with_options(struct run *run)
{
    const struct run_options *options = &run->options;
    struct cli_images images;
    int out = run_outputs_terminal(&run->outputs);
    int status;

    if (out < 0)
        return CLI_BAD_INPUT;
    if (terminal_init(&run->terminal, out, is_terminal(out) && wants_colours(options),
                      is_terminal(out)) != 0) {
        cli_complain("out of memory");
        return CLI_HOST;
    }
    status = run_outputs_open(&run->outputs, options->file);
    if (status == CLI_DONE && cli_images_find(&images, options->images) != 0) {
        cli_complain("out of memory");
        status = CLI_HOST;
    } else if (status == CLI_DONE) {
        cli_signals_catch();
        status = run_file(run, images.directories);
        cli_images_release(&images);
    }
    status = close_outputs(run, status);
    terminal_destroy(&run->terminal);
    return status;
}

int cli_run(int argc, char **argv, const struct cli_command *command)
{
    struct run run = {.begun_ns = clock_now_ns()};
    const struct cli_option options[] = {
        {"json", NULL, "OUT", "write a report of the run to this file; - is the standard output",
         .text = &run.outputs.json_path},
        {"trace", NULL, "OUT",
         "write the decision on each L2 exit to this file, as lines of JSON; - as for --json",
         .text = &run.outputs.trace_path},
        {"log", NULL, "FILE",
         "write each switch of a view, and each refusal, to this new file, as a log",
         .text = &run.outputs.log_path},
        {"verbose", "v", NULL,
         "say more: L1's calls by name, every expectation, what quiet runs write",
         .flag = &run.options.verbose},
        {"images", NULL, "DIR", "search images here (also: MEZZ_IMAGES)",
         .text = &run.options.images},
        {"kvm", NULL, "DEVICE", "use this KVM (also: MEZZ_KVM; default: /dev/kvm)",
         .text = &run.options.kvm},
        {"no-cage", NULL, NULL, "run the machine in this process, without the cage: to debug it",
         .flag = &run.options.no_cage},
        {"no-colour", NULL, NULL, "no colours on a terminal (also: NO_COLOR)",
         .flag = &run.options.no_colour},
        {.name = NULL},
    };
    int count = cli_parse(argc, argv, command, options, &run.options.file, 1);

    run.started_ns = run.begun_ns;
    if (count < 0)
        return cli_parse_status(count);
    if (count == 0) {
        cli_complain("run: no stack file; usage: mezz run %s", command->usage);
        return CLI_BAD_INPUT;
    }
    return run_with_options(&run);
}
