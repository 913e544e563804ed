/* SPDX-License-Identifier: Apache-2.0 */
/* stacks/callbacks.lua: its table against the JSON of its four runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mezz_process.h"
#include "runner.h"

#define UART_EXITS_AT_LEAST 200

static const char *const ways[] = {"root", "callback", "reflect", "classic"};
#define WAYS ELEMENTS(ways)

static long long io_of(const json_t *run, const char *who)
{
    char path[64];

    snprintf(path, sizeof(path), "levels.l2.tiny.exits.io.%s", who);
    return json_integer_value(mezz_at(run, path));
}

static long long calls_of(const json_t *run)
{
    const json_t *calls = mezz_at(run, "levels.l1.calls");
    const json_t *count;
    const char *name;
    long long sum = 0;

    json_object_foreach((json_t *)(uintptr_t)calls, name, count)
    {
        sum += json_integer_value(count);
    }
    return sum;
}

/* The line of the table says what the run's JSON says. */
static void check_row(const char *out, const char *way, const json_t *run)
{
    long long total, root, callback, reflect, calls;
    char start[32];
    const char *row;

    snprintf(start, sizeof(start), "stack   | %-9s ", way);
    row = strstr(out, start);
    ck_assert_msg(row != NULL, "no \"%s\" in:\n%s", start, out);
    ck_assert_int_eq(sscanf(row + strlen(start), "%lld %lld %lld %lld %lld", &total, &root,
                            &callback, &reflect, &calls),
                     5);
    ck_assert_int_eq(root, io_of(run, "root"));
    ck_assert_int_eq(callback, io_of(run, "callback"));
    ck_assert_int_eq(reflect, io_of(run, "reflect"));
    ck_assert_int_eq(total, root + callback + reflect);
    ck_assert_int_eq(calls, calls_of(run));
}

START_TEST(four_ways)
{
    struct mezz_process mezz;
    char path[512];
    const char *argv[] = {"run", path, "--json", "out.json", NULL};
    const json_t *runs, *one[WAYS];
    long long uart;
    json_t *json;

    snprintf(path, sizeof(path), "%s/callbacks.lua", getenv("MEZZ_STACKS"));
    mezz_begin(&mezz);
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    runs = mezz_at(json, "runs");
    ck_assert_uint_eq(json_array_size(runs), WAYS);
    for (size_t i = 0; i < WAYS; i++) {
        one[i] = json_array_get(runs, i);
        check_row(mezz.out, ways[i], one[i]);
    }
    uart = io_of(one[0], "root");
    ck_assert_int_gt(uart, UART_EXITS_AT_LEAST);
    ck_assert_int_eq(io_of(one[1], "callback"), uart);
    ck_assert_int_eq(io_of(one[2], "reflect"), uart + io_of(one[0], "reflect"));
    ck_assert_int_eq(io_of(one[3], "reflect"), io_of(one[2], "reflect"));
    json_decref(json);
    mezz_end(&mezz, 1);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "callbacks", 120, ONCE(four_ways))
