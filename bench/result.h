/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_RESULT_H
#define BENCH_RESULT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "boot_time.h"
#include "call_figures.h"
#include "rounds.h"
#include "view_figures.h"

/* What `mezz bench` found out. docs/benchmarks.md says what the figures mean. */
struct bench_result {
    const char *lane;
    const char *kvm;
    struct rounds rounds;
    unsigned int instructions;     /* per callback; 0: unknown */
    struct error instructions_why; /* why it is unknown; empty: it was not asked for */
    struct boot_times boot;
    struct view_figures views;
    struct call_figures calls;
};

/* Microseconds; R is that of a port (0) or of memory (1). */
double result_r_us(const struct bench_result *result, int kind, double percent);
double result_us(const struct bench_result *result, const struct measurement *m, double percent);

/* In R: the median of the rounds' ratios; the 99th percentile of all cycles in median R. */
double result_ratio(const struct measurement *m);
double result_ratio_p99(const struct bench_result *result, const struct measurement *m);

/* Per cycle. */
double result_kvm_runs(const struct measurement *m);
double result_other_ioctls(const struct measurement *m);

/* Text to free(); NULL: no memory. */
char *result_json(const struct bench_result *result);

void result_table(FILE *to, const struct bench_result *result);

/* The part about views (view_table.c). */
void view_table(FILE *to, const struct view_figures *figures);
json_t *view_json(const struct view_figures *figures);
/* By the names that --only has: flip, remap, slots, forced. */
json_t *view_rows_json(const struct view_figures *figures);
/* The part about calls (call_table.c). */
void call_table(FILE *to, const struct call_figures *figures);
json_t *call_json(const struct call_figures *figures);
/* To four decimals; null unless it is known. */
json_t *result_figure(double value, bool known);

#endif
