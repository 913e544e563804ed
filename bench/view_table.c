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
    fprintf(to, "%-6s ring %u %4u views %5u pages %8.1f", engine_name(row->engine), row->ring,
            row->views, row->pages, row->r_us);
    if (row->gate_rounds > 0)
        fprintf(to, " %10.3f %10.3f %10.2f %6u", row->gate_p50, bare_ratio(figures, row),
                row->gate_p99, row->gate_rounds);
    else
        fprintf(to, " %10s %10s %10s %6s", "-", "-", "-", "-");
    if (row->forced_rounds > 0)
        fprintf(to, " %10.2f %10.2f %6u\n", row->forced_p50, row->forced_p99, row->forced_rounds);
    else
        fprintf(to, " %10s %10s %6s\n", "-", "-", "-");
}

static void print_floor(FILE *to, const struct view_floor *floor)
{
    fprintf(to, "bare   ring %u %4u vCPUs in turn%s %8.1f %10.3f %21.2f\n", floor->ring,
            floor->vcpus, floor->handed ? ", +" : "   ", floor->r_us, floor->p50, floor->p99);
}

static const char unknown[] = "memory unknown: the host's was others' meanwhile";

static void print_build(FILE *to, const struct view_build *build)
{
    fprintf(to, "%-6s a view of 64 MiB, %4u extents: %8.1f ms, ", engine_name(build->engine),
            build->extents, build->ms);
    if (build->memory.known)
        fprintf(to, "%8.0f KiB\n", build->memory.kb);
    else
        fprintf(to, "%s\n", unknown);
}

static void print_memory(FILE *to, const struct view_memory *memory)
{
    fprintf(to, "%-6s 64 views of 16 MiB: ", engine_name(memory->engine));
    if (memory->memory.known)
        fprintf(to, "%.1f MiB more than one, by what the host has left\n",
                memory->memory.kb / 1024);
    else
        fprintf(to, "%s\n", unknown);
}

void view_table(FILE *to, const struct view_figures *figures)
{
    const char *why;
    enum engine_kind engine;

    if (!figures->known)
        return;
    engine = engine_choose(&figures->host, &why);
    fprintf(to, "\nviews: this host's engine is %s: %s\n", engine_name(engine), why);
    fprintf(to, "%-35s %8s %10s %10s %10s %6s %10s %10s %6s\n", "a switch, in R of the same vCPU",
            "R us", "gate p50", "bare R", "p99", "rounds", "forced", "p99", "rounds");
    for (size_t i = 0; i < figures->floors; i++)
        print_floor(to, &figures->floor[i]);
    for (size_t i = 0; i < figures->rows; i++)
        print_row(to, figures, &figures->row[i]);
    for (size_t i = 0; i < figures->builds; i++)
        print_build(to, &figures->build[i]);
    for (size_t i = 0; i < figures->memories; i++)
        print_memory(to, &figures->memory[i]);
}

static json_t *row_json(const struct view_figures *figures, const struct view_row *row)
{
    const bool gate = row->gate_rounds > 0, forced = row->forced_rounds > 0;

    return json_pack("{s:s, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:i}", "engine",
                     engine_name(row->engine), "ring", (int)row->ring, "views", (int)row->views,
                     "pages", (int)row->pages, "r_us", result_figure(row->r_us, true), "gate_p50",
                     result_figure(row->gate_p50, gate), "gate_p50_bare",
                     result_figure(bare_ratio(figures, row), gate), "gate_p99",
                     result_figure(row->gate_p99, gate), "gate_rounds", (int)row->gate_rounds,
                     "forced_p50", result_figure(row->forced_p50, forced), "forced_p99",
                     result_figure(row->forced_p99, forced), "forced_rounds",
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
        json_array_append_new(
            array,
            json_pack("{s:s, s:i, s:o, s:o}", "engine", engine_name(figures->build[i].engine),
                      "extents", (int)figures->build[i].extents, "ms",
                      result_figure(figures->build[i].ms, true), "memory_kib",
                      result_figure(figures->build[i].memory.kb, figures->build[i].memory.known)));
    return array;
}

static json_t *memory_json(const struct view_figures *figures)
{
    json_t *object = json_object();

    for (size_t i = 0; i < figures->memories; i++)
        json_object_set_new(
            object, engine_name(figures->memory[i].engine),
            result_figure(figures->memory[i].memory.kb / 1024, figures->memory[i].memory.known));
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

/* One kind of switch of a row. */
static json_t *kind_json(const struct view_row *row, bool forced)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:o, s:o, s:o, s:i}", "engine", engine_name(row->engine),
                     "ring", (int)row->ring, "views", (int)row->views, "pages", (int)row->pages,
                     "r_us", result_figure(row->r_us, true), "p50",
                     result_figure(forced ? row->forced_p50 : row->gate_p50, true), "p99",
                     result_figure(forced ? row->forced_p99 : row->gate_p99, true), "rounds",
                     (int)(forced ? row->forced_rounds : row->gate_rounds));
}

json_t *view_rows_json(const struct view_figures *figures)
{
    json_t *object = json_object();

    for (int engine = 0; engine < ENGINE_KINDS; engine++)
        json_object_set_new(object, engine_name((enum engine_kind)engine), json_array());
    json_object_set_new(object, "forced", json_array());
    for (size_t i = 0; i < figures->rows; i++) {
        const struct view_row *row = &figures->row[i];

        if (row->gate_rounds > 0)
            json_array_append_new(json_object_get(object, engine_name(row->engine)),
                                  kind_json(row, false));
        if (row->forced_rounds > 0)
            json_array_append_new(json_object_get(object, "forced"), kind_json(row, true));
    }
    return object;
}
