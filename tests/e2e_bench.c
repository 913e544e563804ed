/* SPDX-License-Identifier: Apache-2.0 */
/* mezz bench: every figure is there, and what can be counted is right. No time is looked at. */
#include <stdlib.h>
#include <string.h>

#include "mezz_process.h"
#include "runner.h"

/* Measurements and what the path takes: KVM_RUNs of one cycle. */
static const struct {
    const char *path;
    int kvm_runs;
} measurements[] = {
    {"io.root", 1},
    {"io.condition_failed", 1},
    {"io.callback", 2},
    {"io.callback_stays", 2},
    {"io.reflect", 3},
    {"io.classic", 41},
    {"mmio.root", 1},
    {"mmio.condition_failed", 1},
    {"mmio.callback", 2},
    {"mmio.callback_stays", 2},
    {"mmio.reflect", 3},
    {"mmio.classic", 41},
    {"conditions_held.0", 2},
    {"conditions_held.1", 2},
    {"conditions_held.4", 2},
    {"conditions_held.8", 2},
    {"conditions_failed.1", 1},
    {"conditions_failed.4", 1},
    {"conditions_failed.8", 1},
    {"l2s_reflect.1", 3},
    {"l2s_reflect.4", 3},
    {"l2s_reflect.16", 3},
    {"l2s_callback.1", 2},
    {"l2s_callback.4", 2},
    {"l2s_callback.16", 2},
};

static const char *const positive[] = {
    "r_us",
    "r_us_p99",
    "detail.r_mmio_us",
    "detail.r_mmio_us_p99",
    "detail.rounds",
    "dispatch.root",
    "dispatch.callback",
    "dispatch.reflect",
    "dispatch.classic",
    "dispatch.callback_condition_failed",
    "l1_instructions_per_callback",
    "boot.first_l2_output_ms",
    "boot.outside_ms",
};

static double positive_at(const json_t *json, const char *path)
{
    const json_t *value = mezz_at(json, path);

    ck_assert_msg(json_is_number(value) && json_number_value(value) > 0, "%s: no positive number",
                  path);
    return json_number_value(value);
}

static void ck_count(const json_t *json, const char *path, int count)
{
    const json_t *value = mezz_at(json, path);

    ck_assert_msg(json_is_integer(value) && json_integer_value(value) == count,
                  "%s: not the integer %d", path, count);
}

static void ck_measurement(const json_t *json, const char *path, int kvm_runs)
{
    static const char *const figures[] = {"p50_us", "p99_us", "ratio_p50", "ratio_p99"};
    char member[96];

    for (size_t i = 0; i < ELEMENTS(figures); i++) {
        snprintf(member, sizeof(member), "detail.%s.%s", path, figures[i]);
        positive_at(json, member);
    }
    snprintf(member, sizeof(member), "detail.%s.kvm_runs", path);
    ck_count(json, member, kvm_runs);
    snprintf(member, sizeof(member), "detail.%s.other_ioctls", path);
    ck_count(json, member, 0);
}

/* Calls: what can be counted is right on every engine. */
static const char *const calls[] = {"guard.call",        "guard.denied",
                                    "guard.api_nx_call", "guard.unguarded_exits",
                                    "portion.call",      "portion.strict_call"};

static void ck_calls(const json_t *json)
{
    static const char *const engines[] = {"flip", "remap", "slots"};
    const json_t *rows = mezz_at(json, "calls");
    size_t at = 0;

    ck_assert_uint_eq(json_array_size(rows), ELEMENTS(calls) * ELEMENTS(engines));
    for (size_t i = 0; i < ELEMENTS(calls); i++) {
        const bool unguarded = strcmp(calls[i], "guard.unguarded_exits") == 0;

        for (size_t engine = 0; engine < ELEMENTS(engines); engine++) {
            const json_t *row = json_array_get(rows, at++);

            ck_assert_str_eq(json_string_value(json_object_get(row, "name")), calls[i]);
            ck_assert_str_eq(json_string_value(json_object_get(row, "engine")), engines[engine]);
            positive_at(row, "r_us");
            if (strcmp(calls[i], "portion.strict_call") == 0)
                positive_at(row, "exits");
            else
                ck_count(row, "exits", unguarded ? 0 : 2);
            if (unguarded)
                continue;
            positive_at(row, "p50");
            positive_at(row, "p99");
            if (engine == 0)
                ck_count(row, "other_ioctls", 0);
        }
    }
}

START_TEST(everything)
{
    static const char *const argv[] = {"bench", "--quick", "--json", "out.json", NULL};
    struct mezz_process mezz;
    json_t *json;

    mezz_begin(&mezz);
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert_str_eq(json_string_value(mezz_at(json, "lane")), getenv("MEZZ_LANE"));
    ck_assert_ptr_nonnull(json_string_value(mezz_at(json, "kvm")));
    for (size_t i = 0; i < ELEMENTS(positive); i++)
        positive_at(json, positive[i]);
    for (size_t i = 0; i < ELEMENTS(measurements); i++)
        ck_measurement(json, measurements[i].path, measurements[i].kvm_runs);
    ck_count(json, "dispatch.callback_kvm_runs", 2);
    ck_count(json, "dispatch.callback_other_ioctls", 0);
    ck_calls(json);
    json_decref(json);
    mezz_end(&mezz, 1);
}
END_TEST

/* One measurement alone: the others are null, and the JSON is all of the standard output. */
START_TEST(one)
{
    static const char *const argv[] = {"bench", "--only", "io.callback", "--quick", "--json", NULL};
    struct mezz_process mezz;
    json_t *json;

    mezz_begin(&mezz);
    mezz_run(&mezz, argv);
    ck_assert_int_eq(mezz.status, 0);
    json = json_loads(mezz.out, 0, NULL);
    ck_assert_ptr_nonnull(json);
    positive_at(json, "dispatch.callback");
    ck_count(json, "dispatch.callback_kvm_runs", 2);
    ck_assert(json_is_null(mezz_at(json, "dispatch.root")));
    ck_assert(json_is_null(mezz_at(json, "boot.first_l2_output_ms")));
    ck_assert_ptr_nonnull(strstr(mezz.err, "io.callback"));
    json_decref(json);
    mezz_end(&mezz, 0);
}
END_TEST

/* Each of them, and nothing else. */
START_TEST(several)
{
    static const char *const argv[] = {"bench",       "--only",  "io.root", "--only",   "mmio.root",
                                       "--only=boot", "--quick", "--json",  "out.json", NULL};
    struct mezz_process mezz;
    json_t *json;

    mezz_begin(&mezz);
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_measurement(json, "io.root", 1);
    ck_measurement(json, "mmio.root", 1);
    positive_at(json, "boot.first_l2_output_ms");
    ck_assert(json_is_null(mezz_at(json, "dispatch.callback")));
    ck_assert_uint_eq(json_array_size(mezz_at(json, "calls")), 0);
    json_decref(json);
    mezz_end(&mezz, 1);
}
END_TEST

/* Rows of views, each with as many rounds as its time was enough for. */
START_TEST(views)
{
    static const char *const argv[] = {"bench",  "--only",   "views", "--quick",
                                       "--json", "out.json", NULL};
    static const char *const counts[] = {"gate_rounds", "forced_rounds"};
    struct mezz_process mezz;
    json_t *json;
    json_t *row;
    size_t i;

    mezz_begin(&mezz);
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert_uint_eq(json_array_size(mezz_at(json, "views.switches")), 6);
    json_array_foreach(mezz_at(json, "views.switches"), i, row)
    {
        positive_at(row, "gate_p50");
        positive_at(row, "forced_p50");
        for (size_t n = 0; n < ELEMENTS(counts); n++)
            ck_assert_double_ge(positive_at(row, counts[n]), 3);
    }
    json_decref(json);
    mezz_end(&mezz, 1);
}
END_TEST

/* The engines' rows by their own names, and nothing else. */
START_TEST(view_rows)
{
    static const char *const argv[] = {"bench",   "--only", "view.remap", "--only=view.forced",
                                       "--quick", "--json", "out.json",   NULL};
    struct mezz_process mezz;
    json_t *json;
    json_t *row;
    size_t i;

    mezz_begin(&mezz);
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert_uint_eq(json_array_size(mezz_at(json, "view.flip")), 0);
    ck_assert_uint_eq(json_array_size(mezz_at(json, "view.remap")), 2);
    ck_assert_uint_eq(json_array_size(mezz_at(json, "view.slots")), 0);
    ck_assert_uint_eq(json_array_size(mezz_at(json, "view.forced")), 6);
    json_array_foreach(mezz_at(json, "view.forced"), i, row)
    {
        positive_at(row, "p50");
        positive_at(row, "p99");
        ck_assert_double_ge(positive_at(row, "rounds"), 3);
    }
    json_array_foreach(mezz_at(json, "views.switches"), i, row)
        ck_assert_int_eq(json_is_null(mezz_at(row, "gate_p50")), i / 2 != 1);
    ck_assert(json_is_null(mezz_at(json, "detail.view.gate")));
    ck_assert(json_is_null(mezz_at(json, "dispatch.root")));
    json_decref(json);
    mezz_end(&mezz, 1);
}
END_TEST

/* What --only takes. */
START_TEST(help)
{
    static const char *const argv[] = {"bench", "--help", NULL};
    static const char *const names[] = {
        "io,",         "mmio",         "conditions_held", "conditions_failed",
        "l2s_reflect", "l2s_callback", "guard",           "portion",
        "views,",      "view.flip",    "view.remap",      "view.slots",
        "view.forced", "boot",         "instructions"};
    struct mezz_process mezz;

    mezz_begin(&mezz);
    mezz_run(&mezz, argv);
    ck_assert_int_eq(mezz.status, 0);
    for (size_t i = 0; i < ELEMENTS(names); i++)
        ck_assert_msg(strstr(mezz.out, names[i]) != NULL, "no %s in:\n%s", names[i], mezz.out);
    mezz_end(&mezz, 0);
}
END_TEST

static const struct {
    const char *argv[6];
    int status;
    const char *start;
    const char *part;
} mistakes[] = {
    {{"bench", "--only", "io.rot"}, 2, "mezz: bench: --only io.rot: ", "conditions_held"},
    {{"bench", "--only", "io", "--only", "io.rot"}, 2, "mezz: bench: --only io.rot: ", "io.root"},
    {{"bench", "--only", "view.slot"}, 2, "mezz: bench: --only view.slot: ", "view.slots"},
    {{"bench", "--images", "none"}, 2, "mezz: bench: none/bench_l1.elf: ", "No such file"},
    {{"bench", "--kvm", "/nonexistent"}, 3, "mezz: bench: /nonexistent: ", "No such file"},
    {{"bench", "--json", "no/out.json"}, 2, "mezz: --json: no/out.json: ", "No such file"},
    {{"bench", "more"}, 2, "mezz: bench: \"more\" is one argument too many", "usage"},
};

START_TEST(mistake)
{
    struct mezz_process mezz;

    mezz_begin(&mezz);
    mezz_run(&mezz, mistakes[_i].argv);
    ck_assert_msg(mezz.status == mistakes[_i].status && mezz_lines(mezz.err) == 1 &&
                      strncmp(mezz.err, mistakes[_i].start, strlen(mistakes[_i].start)) == 0 &&
                      strstr(mezz.err, mistakes[_i].part) != NULL,
                  "status %d; stderr:\n%s", mezz.status, mezz.err);
    mezz_end(&mezz, 0);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "bench", 240, ONCE(everything), ONCE(one), ONCE(several), ONCE(views),
             ONCE(view_rows), ONCE(help), EACH(mistake, ELEMENTS(mistakes)))
