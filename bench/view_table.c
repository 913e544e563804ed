/* SPDX-License-Identifier: Apache-2.0 */
#include "result.h"

/* In R of a bare vCPU, which brings no registers along. */
static double bare_ratio(const struct view_figures *figures, const struct view_row *row)
{
    for (size_t i = 0; i < figures->floors; i++)
        if (figures->floor[i].ring == row->ring && !figures->floor[i].handed &&
            figures->floor[i].r_us > 0)
            return row->gate_p50 * row->r_us / figures->floor[i].r_us;
    return 0;
}

static void print_row(FILE *to, const struct view_figures *figures, const struct view_row *row)
{
    fprintf(to, "%-6s ring %u %4u views %5u pages%9.1f%10.3f%10.3f%10.2f%7u%10.2f%10.2f%7u\n",
            engine_name(row->engine), row->ring, row->views, row->pages, row->r_us, row->gate_p50,
            bare_ratio(figures, row), row->gate_p99, row->gate_rounds, row->forced_p50,
            row->forced_p99, row->forced_rounds);
}

static void print_floor(FILE *to, const struct view_floor *floor)
{
    fprintf(to, "bare   ring %u %4u vCPUs in turn%s%9.1f%10.3f%20.2f\n", floor->ring, floor->vcpus,
            floor->handed ? ", +" : "   ", floor->r_us, floor->p50, floor->p99);
}

void view_table(FILE *to, const struct view_figures *figures)
{
    const char *why;
    enum engine_kind engine;

    if (!figures->known)
        return;
    engine = engine_choose(&figures->host, &why);
    fprintf(to, "\nviews: this host's engine is %s: %s\n", engine_name(engine), why);
    fprintf(to, "%-35s%9s%10s%10s%10s%7s%10s%10s%7s\n", "a switch, in R of the same vCPU", "R us",
            "gate p50", "bare R", "p99", "rounds", "forced", "p99", "rounds");
    for (size_t i = 0; i < figures->floors; i++)
        print_floor(to, &figures->floor[i]);
    for (size_t i = 0; i < figures->rows; i++)
        print_row(to, figures, &figures->row[i]);
    for (size_t i = 0; i < figures->builds; i++)
        fprintf(to, "%-6s a view of 64 MiB, %4u extents: %8.1f ms, %8.0f KiB\n",
                engine_name(figures->build[i].engine), figures->build[i].extents,
                figures->build[i].ms, figures->build[i].memory_kb);
    for (size_t i = 0; i < figures->memories; i++)
        fprintf(to, "%-6s 64 views of 16 MiB: %.1f MiB more than one, by what the host has left\n",
                engine_name(figures->memory[i].engine), figures->memory[i].mb);
}

static json_t *row_json(const struct view_figures *figures, const struct view_row *row)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:i}", "engine",
                     engine_name(row->engine), "ring", (int)row->ring, "views", (int)row->views,
                     "pages", (int)row->pages, "r_us", result_figure(row->r_us, true), "gate_p50",
                     result_figure(row->gate_p50, true), "gate_p50_bare",
                     result_figure(bare_ratio(figures, row), true), "gate_p99",
                     result_figure(row->gate_p99, true), "gate_rounds", (int)row->gate_rounds,
                     "forced_p50", result_figure(row->forced_p50, true), "forced_p99",
                     result_figure(row->forced_p99, true), "forced_rounds",
                     (int)row->forced_rounds);
}

static json_t *rows_json(const struct view_figures *figures)
{
    json_t *array = json_array();

    for (size_t i = 0; i < figures->rows; i++)
        json_array_append_new(array, row_json(figures, &figures->row[i]));
    return array;
}

static json_t *bare_json(const struct view_figures *figures)
{
    json_t *array = json_array();

    for (size_t i = 0; i < figures->floors; i++) {
        const struct view_floor *floor = &figures->floor[i];

        json_array_append_new(array,
                              json_pack("{s:i, s:i, s:b, s:o, s:o, s:o}", "ring", (int)floor->ring,
                                        "vcpus", (int)floor->vcpus, "handed", (int)floor->handed,
                                        "r_us", result_figure(floor->r_us, true), "p50",
                                        result_figure(floor->p50, true), "p99",
                                        result_figure(floor->p99, true)));
    }
    return array;
}

static json_t *builds_json(const struct view_figures *figures)
{
    json_t *array = json_array();

    for (size_t i = 0; i < figures->builds; i++)
        json_array_append_new(array, json_pack("{s:s, s:i, s:o, s:o}", "engine",
                                               engine_name(figures->build[i].engine), "extents",
                                               (int)figures->build[i].extents, "ms",
                                               result_figure(figures->build[i].ms, true),
                                               "memory_kib", figures->build[i].memory_kb));
    return array;
}

static json_t *memory_json(const struct view_figures *figures)
{
    json_t *object = json_object();

    for (size_t i = 0; i < figures->memories; i++)
        json_object_set_new(object, engine_name(figures->memory[i].engine),
                            result_figure(figures->memory[i].mb, true));
    return object;
}

json_t *view_json(const struct view_figures *figures)
{
    if (!figures->known)
        return json_null();
    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "engine",
                     engine_name(engine_choose(&figures->host, NULL)), "bare_vcpus_in_turn",
                     bare_json(figures), "switches", rows_json(figures), "builds",
                     builds_json(figures), "memory_of_64_views_mib", memory_json(figures));
}
