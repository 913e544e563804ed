/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_STATISTICS_H
#define BENCH_STATISTICS_H

#include <stddef.h>

/* Numbers that were measured, in the order in which they came. */
struct series {
    double *value;
    size_t count;
    size_t room;
};

/* 0, or -ENOMEM. */
int series_add(struct series *series, double value);
void series_release(struct series *series);

/* The value that `percent` of 100 do not exceed; 0 for an empty series. */
double series_percentile(const struct series *series, double percent);
double percentile(double *values, size_t count, double percent); /* sorts them */

#endif
