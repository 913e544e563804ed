/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/report_table.h"

#include <inttypes.h>

#define NS_PER_MS  1000000.0
#define NAME_WIDTH 24

/* A guest's name may hold anything printable, and more if L1 lies. */
static void print_name(FILE *out, int indent, const char *level, const char *name)
{
    char text[NAME_WIDTH];

    snprintf(text, sizeof(text), "%*s%s%s", indent, "", level, name);
    for (char *c = text; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    fprintf(out, "%-*s", NAME_WIDTH, text);
}

static uint64_t sum(const struct exit_counts *counts)
{
    return counts->root + counts->callback + counts->reflect;
}

static void print_counts(FILE *out, const struct exit_counts *counts)
{
    fprintf(out, "%9" PRIu64 "%9" PRIu64 "%10" PRIu64 "%9" PRIu64, sum(counts), counts->root,
            counts->callback, counts->reflect);
}

static void print_runs(FILE *out, uint64_t kvm_runs, uint64_t run_ns)
{
    fprintf(out, "%9" PRIu64 "%10.1f ms", kvm_runs, (double)run_ns / NS_PER_MS);
}

static void print_l1(FILE *out, const struct machine_report *report, bool detailed)
{
    const struct l1_report *l1 = &report->l1;
    uint64_t calls = report_calls(l1);

    print_name(out, 0, "L1", "");
    fprintf(out, "%9" PRIu64 "%9" PRIu64 "%10s%9s", calls + l1->port_exits + l1->other_exits,
            calls + l1->port_exits + l1->other_exits, "-", "-");
    print_runs(out, l1->kvm_runs, l1->run_ns);
    fprintf(out, "  %s", report_status(report));
    if (report->end == MACHINE_DONE && report->status != 0)
        fprintf(out, " with status %u", report->status);
    fprintf(out, "\n");
    print_name(out, 2, "", "calls");
    fprintf(out, "%9" PRIu64, calls);
    if (l1->refused_calls != 0)
        fprintf(out, "  (%" PRIu64 " refused with an error code)", l1->refused_calls);
    fprintf(out, "\n");
    for (size_t i = 0; detailed && i < sizeof(l1->calls) / sizeof(l1->calls[0]); i++) {
        if (l1->calls[i] == 0)
            continue;
        print_name(out, 4, "", report_call_name(i));
        fprintf(out, "%9" PRIu64 "\n", l1->calls[i]);
    }
    print_name(out, 2, "", "devices");
    fprintf(out, "%9" PRIu64 "\n", l1->port_exits);
    if (l1->other_exits != 0) {
        print_name(out, 2, "", "other");
        fprintf(out, "%9" PRIu64 "\n", l1->other_exits);
    }
}

static void print_portions(FILE *out, const struct portions_report *portions)
{
    print_name(out, 2, "", "portions");
    fprintf(out, "%9" PRIu64 "  switches of a view, %" PRIu64 " at an entry point\n",
            portions->switches, portions->entries);
    for (enum decision_reason r = REASON_NONE; r < REASON_KINDS; r++) {
        if (!decision_is_refusal(r) || portions->reasons[r] == 0)
            continue;
        print_name(out, 4, "", decision_reason_name(r));
        fprintf(out, "%9" PRIu64 "  refused\n", portions->reasons[r]);
    }
}

static void print_guard(FILE *out, const struct guard_report *guard)
{
    print_name(out, 2, "", "guarded calls");
    fprintf(out, "%9" PRIu64 "  %" PRIu64 " allowed, %" PRIu64 " denied\n",
            guard->reasons[HOOK_REASON_CALL], guard->verdicts[MEZZ_GUARD_ALLOWED],
            guard->verdicts[MEZZ_GUARD_DENIED]);
    for (enum hook_reason r = HOOK_REASON_NONE; r < HOOK_REASONS; r++) {
        if (!hook_is_refusal(r) || guard->reasons[r] == 0)
            continue;
        print_name(out, 4, "", hook_reason_name(r));
        fprintf(out, "%9" PRIu64 "  refused\n", guard->reasons[r]);
    }
}

static void print_l2(FILE *out, const struct l2_report *l2)
{
    struct exit_counts total = report_total(l2);

    print_name(out, 0, "L2 ", l2->name);
    print_counts(out, &total);
    print_runs(out, l2->kvm_runs, l2->run_ns);
    fprintf(out, "  %s", report_l2_end_name(l2->end));
    if (l2->end == L2_DONE && l2->status != 0)
        fprintf(out, " with status %u", l2->status);
    fprintf(out, "\n");
    for (int i = 0; i < (int)REASON_INDEX_COUNT; i++) {
        if (sum(&l2->exits[i]) == 0)
            continue;
        print_name(out, 2, "", reason_name(reason_of_index(i)));
        print_counts(out, &l2->exits[i]);
        fprintf(out, "\n");
    }
    if (l2->portions.declared)
        print_portions(out, &l2->portions);
    if (l2->guard.declared)
        print_guard(out, &l2->guard);
}

void report_table(FILE *out, const struct machine_report *report, bool detailed)
{
    fprintf(out, "\n%-*s%9s%9s%10s%9s%9s%13s\n", NAME_WIDTH, "level and exit reason", "exits",
            "root", "callback", "reflect", "KVM_RUN", "inside it");
    print_l1(out, report, detailed);
    for (unsigned int i = 0; i < report->l2_count; i++)
        print_l2(out, &report->l2[i]);
    fprintf(out, "ran %.1f ms", (double)report->duration_ns / NS_PER_MS);
    if (report->first_l2_output_ns != 0)
        fprintf(out, "; first output of an L2 %.1f ms after the start of mezz",
                (double)report->first_l2_output_ns / NS_PER_MS);
    fprintf(out, "\n\n");
}
