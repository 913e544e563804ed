/* SPDX-License-Identifier: Apache-2.0 */
#include "result.h"

double result_r_us(const struct bench_result *result, int kind, double percent)
{
    return series_percentile(&result->rounds.r[kind], percent) * result->rounds.us_per_tick;
}

double result_us(const struct bench_result *result, const struct measurement *m, double percent)
{
    return series_percentile(&m->ticks, percent) * result->rounds.us_per_tick;
}

double result_ratio(const struct measurement *m)
{
    return series_percentile(&m->ratio, 50);
}

double result_ratio_p99(const struct bench_result *result, const struct measurement *m)
{
    const struct series *r = &result->rounds.r[m->path->memory];

    return series_percentile(&m->ticks, 99) / series_percentile(r, 50);
}

static double per_cycle(uint64_t sum, const struct measurement *m)
{
    return m->counted == 0 ? 0 : (double)sum / (double)m->counted;
}

double result_kvm_runs(const struct measurement *m)
{
    return per_cycle(m->counts.kvm_runs, m);
}

double result_other_ioctls(const struct measurement *m)
{
    return per_cycle(m->counts.other_ioctls, m);
}

/* A figure to four decimals; null where there is none. Whole numbers, as counts are, come out as
 * such. None is negative. */
json_t *result_figure(double value, bool known)
{
    double whole = value * 10000 + 0.5;

    /* Also what is no number. */
    if (!known || !(whole >= 0 && whole < 1e18))
        return json_null();
    if ((json_int_t)whole % 10000 == 0)
        return json_integer((json_int_t)whole / 10000);
    return json_real((double)(json_int_t)whole / 10000);
}
