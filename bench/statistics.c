/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int series_add(struct series *series, double value)
{
    if (series->count == series->room) {
        size_t room = series->room == 0 ? 256 : 2 * series->room;
        double *grown = realloc(series->value, room * sizeof(*grown));

        if (grown == NULL)
            return -ENOMEM;
        series->value = grown;
        series->room = room;
    }
    series->value[series->count++] = value;
    return 0;
}

void series_release(struct series *series)
{
    free(series->value);
    *series = (struct series){.value = NULL};
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left > right) - (left < right);
}

double percentile(double *values, size_t count, double percent)
{
    size_t index = (size_t)(percent / 100 * (double)count);

    if (count == 0)
        return 0;
    qsort(values, count, sizeof(*values), compare);
    return values[index < count ? index : count - 1];
}

double series_percentile(const struct series *series, double percent)
{
    double *copy = malloc(series->count * sizeof(*copy));
    double result;

    if (copy == NULL || series->count == 0) {
        free(copy);
        return 0;
    }
    memcpy(copy, series->value, series->count * sizeof(*copy));
    result = percentile(copy, series->count, percent);
    free(copy);
    return result;
}
