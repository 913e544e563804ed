/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli_show.h"

#include <string.h>

#include "vmm/cli.h"
#include "vmm/report_table.h"

/* Every line of a level's fatal tail behind its name. */
static void show_last_words(struct terminal *terminal, unsigned int source, const char *name,
                            const char *words)
{
    if (words[0] == '\0')
        return;
    terminal_write(terminal, source, name, words, strlen(words));
    terminal_end_line(terminal);
}

static void complain_of_l1(const char *file, const struct script_run *run)
{
    const struct machine_report *report = &run->report;

    if (report->end == MACHINE_DONE && report->status != 0)
        cli_complain("%s:%u: L1 ended with status %u", file, run->line, report->status);
    else if (report->end == MACHINE_DIED)
        cli_complain("%s:%u: L1 died: %s", file, run->line, report->error.text);
    else if (report->end == MACHINE_TIMEOUT)
        cli_complain("%s:%u: %s", file, run->line,
                     report->error.text[0] != '\0' ? report->error.text
                                                   : "the machine's time is over");
}

static void complain_of_l2(const char *file, const struct script_run *run,
                           const struct l2_report *l2)
{
    if (l2->end == L2_DIED)
        cli_complain("%s:%u: L2 %s died: %.*s", file, run->line, l2->name,
                     (int)strcspn(l2->last_words, "\n"), l2->last_words);
}

void show_run(struct terminal *terminal, const char *file, const struct script_run *run,
              bool verbose)
{
    const struct machine_report *report = &run->report;

    show_last_words(terminal, TERMINAL_L1, "", report->last_words);
    for (unsigned int i = 0; i < report->l2_count; i++)
        show_last_words(terminal, i + 1, report->l2[i].name, report->l2[i].last_words);
    report_table(terminal->out, report, verbose);
    fflush(terminal->out);
    if (run->may_die)
        return;
    complain_of_l1(file, run);
    for (unsigned int i = 0; i < report->l2_count; i++)
        complain_of_l2(file, run, &report->l2[i]);
}

void show_expectations(struct terminal *terminal, const struct script_record *record, bool verbose)
{
    size_t held = record->expectation_count - record->failed;

    if (record->expectation_count != 0)
        fprintf(terminal->out, "%zu of %zu expectations held\n", held, record->expectation_count);
    for (size_t i = 0; verbose && i < record->expectation_count; i++)
        fprintf(terminal->out, "  %-7s %s:%u: %s\n",
                record->expectations[i].passed ? "held" : "failed", record->path,
                record->expectations[i].line, record->expectations[i].text);
}
