/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "result.h"

static json_t *path_figures(const struct bench_result *result, const struct measurement *m)
{
    bool counted = m->counted > 0;

    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "p50_us",
                     result_figure(result_us(result, m, 50), 1), "p99_us",
                     result_figure(result_us(result, m, 99), 1), "ratio_p50",
                     result_figure(result_ratio(m), 1), "ratio_p99",
                     result_figure(result_ratio_p99(result, m), 1), "kvm_runs",
                     result_figure(result_kvm_runs(m), counted), "other_ioctls",
                     result_figure(result_other_ioctls(m), counted));
}

static json_t *detail(const struct bench_result *result)
{
    const struct rounds *rounds = &result->rounds;
    json_t *object = json_object();

    for (size_t i = 0; i < path_count; i++) {
        const struct measurement *m = rounds_find(rounds, paths[i].group, paths[i].name);
        json_t *group = json_object_get(object, paths[i].group);

        if (group == NULL) {
            group = json_object();
            json_object_set_new(object, paths[i].group, group);
        }
        json_object_set_new(group, paths[i].name,
                            m != NULL ? path_figures(result, m) : json_null());
    }
    json_object_set_new(object, "r_mmio_us",
                        result_figure(result_r_us(result, 1, 50), rounds->r[1].count > 0));
    json_object_set_new(object, "r_mmio_us_p99",
                        result_figure(result_r_us(result, 1, 99), rounds->r[1].count > 0));
    json_object_set_new(object, "rounds", json_integer(rounds->done));
    return object;
}

static json_t *ratio_of(const struct bench_result *result, const char *name)
{
    const struct measurement *m = rounds_find(&result->rounds, "io", name);

    return result_figure(m != NULL ? result_ratio(m) : 0, m != NULL);
}

static json_t *dispatch(const struct bench_result *result)
{
    const struct measurement *m = rounds_find(&result->rounds, "io", "callback");
    bool counted = m != NULL && m->counted > 0;

    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "root", ratio_of(result, "root"),
                     "callback", ratio_of(result, "callback"), "reflect",
                     ratio_of(result, "reflect"), "classic", ratio_of(result, "classic"),
                     "callback_condition_failed", ratio_of(result, "condition_failed"),
                     "callback_kvm_runs", result_figure(counted ? result_kvm_runs(m) : 0, counted),
                     "callback_other_ioctls",
                     result_figure(counted ? result_other_ioctls(m) : 0, counted));
}

static json_t *boot(const struct bench_result *result)
{
    const struct boot_times *times = &result->boot;
    bool known = times->inside_ms.count > 0;

    return json_pack("{s:o, s:o, s:o, s:I}", "first_l2_output_ms",
                     result_figure(series_percentile(&times->inside_ms, 50), known),
                     "first_l2_output_ms_p99",
                     result_figure(series_percentile(&times->inside_ms, 99), known), "outside_ms",
                     result_figure(series_percentile(&times->outside_ms, 50), known), "runs",
                     (json_int_t)times->inside_ms.count);
}

char *result_json(const struct bench_result *result)
{
    bool known = result->rounds.r[0].count > 0;
    json_t *object = json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "lane", result->lane, "kvm",
        result->kvm, "r_us", result_figure(result_r_us(result, 0, 50), known), "r_us_p99",
        result_figure(result_r_us(result, 0, 99), known), "dispatch", dispatch(result),
        "l1_instructions_per_callback",
        result_figure(result->instructions, result->instructions != 0), "boot", boot(result),
        "views", view_json(&result->views), "view", view_rows_json(&result->views), "calls",
        call_json(&result->calls), "detail", detail(result));
    char *text =
        object != NULL ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    char *lines = NULL;

    json_decref(object);
    if (text != NULL && asprintf(&lines, "%s\n", text) < 0)
        lines = NULL;
    free(text);
    return lines;
}
