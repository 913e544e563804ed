/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "result.h"

#define FIRST_COLUMN 28

static void print_path(FILE *to, const struct bench_result *result, const struct measurement *m)
{
    char name[64];

    snprintf(name, sizeof(name), "%s.%s", m->path->group, m->path->name);
    fprintf(to, "%-*s%9.3f%9.2f%11.2f%11.2f%9.3g%8.3g  %s\n", FIRST_COLUMN, name, result_ratio(m),
            result_ratio_p99(result, m), result_us(result, m, 50), result_us(result, m, 99),
            result_kvm_runs(m), result_other_ioctls(m), m->path->goal != NULL ? m->path->goal : "");
}

static void print_r(FILE *to, const struct bench_result *result, int kind, const char *what)
{
    double p50 = result_r_us(result, kind, 50);
    double p99 = result_r_us(result, kind, 99);

    if (result->rounds.r[kind].count > 0)
        fprintf(to, "%-*s%9.3f%9.2f%11.2f%11.2f%9d%8d\n", FIRST_COLUMN, what, 1.0, p99 / p50, p50,
                p99, 1, 0);
}

/* How many times dearer the classic way is. */
static void print_gain(FILE *to, const struct bench_result *result, const char *group)
{
    const struct measurement *classic = rounds_find(&result->rounds, group, "classic");
    const struct measurement *callback = rounds_find(&result->rounds, group, "callback");
    char name[64];

    if (classic == NULL || callback == NULL)
        return;
    snprintf(name, sizeof(name), "%s.classic / %s.callback", group, group);
    fprintf(to, "%-*s%9.1f%*s>= 10\n", FIRST_COLUMN, name,
            result_ratio(classic) / result_ratio(callback), 50, "");
}

static void print_rest(FILE *to, const struct bench_result *result)
{
    const struct boot_times *boot = &result->boot;

    if (result->instructions != 0)
        fprintf(to, "\nL1 instructions of a callback: %u, single-stepped\n", result->instructions);
    else if (result->instructions_why.text[0] != '\0')
        fprintf(to, "\nL1 instructions of a callback: not known: %s\n",
                result->instructions_why.text);
    if (boot->inside_ms.count > 0)
        fprintf(to,
                "exec to an L2's first output from ring 3: %.1f ms, %.1f ms seen from outside "
                "(median of %zu; goal on pvm: <= 100 ms)\n",
                series_percentile(&boot->inside_ms, 50), series_percentile(&boot->outside_ms, 50),
                boot->inside_ms.count);
}

void result_table(FILE *to, const struct bench_result *result)
{
    const struct rounds *rounds = &result->rounds;

    fprintf(to, "lane %s, %s", result->lane, result->kvm);
    if (rounds->count > 0)
        fprintf(to,
                ", %u rounds; R is a bare exit of the same kind\n\n%-*s%9s%9s%11s%11s%9s%8s  %s",
                rounds->done, FIRST_COLUMN, "one L2 exit to the next", "p50 R", "p99 R", "p50 us",
                "p99 us", "KVM_RUN", "ioctls", "goal (p50 R)");
    fprintf(to, "\n");
    print_r(to, result, 0, "R, port");
    print_r(to, result, 1, "R, memory");
    for (size_t i = 0; i < rounds->count; i++)
        print_path(to, result, &rounds->measurement[i]);
    print_gain(to, result, "io");
    print_gain(to, result, "mmio");
    view_table(to, &result->views);
    call_table(to, &result->calls);
    print_rest(to, result);
}
