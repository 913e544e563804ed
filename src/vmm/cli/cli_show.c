/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/cli_show.h"

#include <string.h>

#include "vmm/cli/cli.h"
#include "vmm/cli/report_table.h"

/* Every line of a level's fatal tail behind its name. */
static void show_last_words(struct terminal *terminal, unsigned int source, const char *name,
                            const char *words)
{
    if (words[0] == '\0')
        return;
    terminal_write(terminal, source, name, words, strlen(words));
    terminal_end_line(terminal);
}

static bool complain_of_l2s(const char *file, const struct script_run *run)
{
    bool any = false;

    for (unsigned int i = 0; i < run->report.l2_count; i++) {
        const struct l2_report *l2 = &run->report.l2[i];

        if (l2->end != L2_DIED)
            continue;
        if (l2->last_words[0] != '\0')
            cli_complain("%s:%u: a guest died: %.*s", file, run->line,
                         (int)strcspn(l2->last_words, "\n"), l2->last_words);
        else
            cli_complain("%s:%u: a guest died: L2 %s", file, run->line, l2->name);
        any = true;
    }
    return any;
}

/* Of what a level wrote; bytes that could play with a terminal are shown as dots. */
static void last_line(const struct console_text *console, char *line, size_t size)
{
    size_t end = console->length;
    size_t start;

    while (end > 0 && console->text[end - 1] == '\n')
        end--;
    for (start = end; start > 0 && console->text[start - 1] != '\n';)
        start--;
    snprintf(line, size, "%.*s", (int)(end - start < size ? end - start : size),
             console->text + start);
    for (; *line != '\0'; line++)
        if (*line < ' ' || *line > '~')
            *line = '.';
}

static void complain_of_l1(const char *file, const struct script_run *run)
{
    const struct machine_report *report = &run->report;
    char refused[128] = "";
    char last[192];

    if (report->end == MACHINE_DIED || report->end == MACHINE_TIMEOUT)
        cli_complain("%s:%u: %s", file, run->line, report->error.text);
    if (report->end != MACHINE_DONE || report->status == 0)
        return;
    if (report->l1.refused_calls != 0)
        snprintf(
            refused, sizeof(refused),
            "; %llu of its calls got an error code, the last one call %llu (%s): error %u (%s)",
            (unsigned long long)report->l1.refused_calls,
            (unsigned long long)report->l1.refused_call, report_call_name(report->l1.refused_call),
            report->l1.refused_error, report_error_name(report->l1.refused_error));
    last_line(&report->l1.console, last, sizeof(last));
    cli_complain("%s:%u: L1 ended with status %u%s%s%s", file, run->line, report->status, refused,
                 last[0] != '\0' ? "; its last line: " : "", last);
}

/* One line for what is one misfortune: an L1 whose guest died ends badly because of that. */
static void complain(const char *file, const struct script_run *run)
{
    bool guest_died = complain_of_l2s(file, run);

    if (!guest_died || run->report.end != MACHINE_DONE)
        complain_of_l1(file, run);
}

static void show_levels(struct terminal *terminal, const struct machine_report *report,
                        bool verbose)
{
    show_last_words(terminal, TERMINAL_L1, "", report->last_words);
    for (unsigned int i = 0; i < report->l2_count; i++)
        show_last_words(terminal, i + 1, report->l2[i].name, report->l2[i].last_words);
    report_table(terminal->out, report, verbose);
    terminal_end_line(terminal);
}

void show_run(struct terminal *terminal, const char *file, const struct script_run *run,
              bool verbose)
{
    if (!run->quiet || verbose)
        show_levels(terminal, &run->report, verbose);
    if (run->report.trouble.text[0] != '\0')
        cli_complain("%s:%u: the host failed, and L1 was told so: %s", file, run->line,
                     run->report.trouble.text);
    if (!run->may_die)
        complain(file, run);
}

static bool any_quiet(const struct script_record *record)
{
    for (size_t i = 0; i < record->run_count; i++)
        if (record->runs[i].quiet)
            return true;
    return false;
}

void show_expectations(struct terminal *terminal, const struct script_record *record, bool verbose)
{
    size_t held = record->expectation_count - record->failed;

    if (record->expectation_count != 0)
        fprintf(terminal->out, "%zu of %zu expectations held\n", held, record->expectation_count);
    if (record->failed != 0 && !verbose && any_quiet(record))
        fprintf(terminal->out, "-v shows what the levels of quiet runs wrote\n");
    for (size_t i = 0; verbose && i < record->expectation_count; i++)
        fprintf(terminal->out, "  %-7s %s:%u: %s\n",
                record->expectations[i].passed ? "held" : "failed", record->path,
                record->expectations[i].line, record->expectations[i].text);
}
