/* SPDX-License-Identifier: Apache-2.0 */
#include "result.h"

static const char *goal(const struct call_row *row)
{
    if (row->p50 == 0)
        return "0 exits";
    if (row->name[0] != 'g')
        return "";
    return row->engine == ENGINE_FLIP ? "<= 2.2" : row->engine == ENGINE_REMAP ? "<= 4.5" : "";
}

void call_table(FILE *to, const struct call_figures *figures)
{
    if (figures->rows == 0)
        return;
    fprintf(to, "\n%-31s%9s%9s%9s%9s%9s%9s  %s\n", "a call, in R of ring 3", "R us", "p50 R",
            "p99 R", "exits", "KVM_RUN", "ioctls", "goal (p50 R)");
    for (size_t i = 0; i < figures->rows; i++) {
        const struct call_row *row = &figures->row[i];

        fprintf(to, "%-24s%-7s%9.1f", row->name, engine_name(row->engine), row->r_us);
        if (row->p50 == 0)
            fprintf(to, "%9s%9s%9.5f%9s%9s  %s\n", "", "", row->exits, "", "", goal(row));
        else
            fprintf(to, "%9.2f%9.2f%9.2f%9.2f%9.2f  %s\n", row->p50, row->p99, row->exits,
                    row->kvm_runs, row->other_ioctls, goal(row));
    }
}

json_t *call_json(const struct call_figures *figures)
{
    json_t *array = json_array();

    for (size_t i = 0; i < figures->rows; i++) {
        const struct call_row *row = &figures->row[i];
        const bool timed = row->p50 > 0;

        json_array_append_new(
            array,
            json_pack("{s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "name", row->name, "engine",
                      engine_name(row->engine), "ring", 3, "r_us", result_figure(row->r_us, true),
                      "p50", result_figure(row->p50, timed), "p99", result_figure(row->p99, timed),
                      "exits", result_figure(row->exits, true), "kvm_runs",
                      result_figure(row->kvm_runs, timed), "other_ioctls",
                      result_figure(row->other_ioctls, timed)));
    }
    return array;
}
