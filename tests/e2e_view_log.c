/* SPDX-License-Identifier: Apache-2.0 */
/* The log of switches between views that L1 made: by the gate, by an answer of L1's, and refused.
 * The L1 is the conformance kit's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mezz_process.h"
#include "runner.h"

#define STACK                                                                      \
    "local s = mezz.stack { memory = '64M' }\n"                                    \
    "local l1 = s:l1 { image = 'conformance_l1.elf', memory = '48M', vcpus = 1,\n" \
    "    cmdline = 'group=%s' }\n"                                                 \
    "l1:l2 { name = '%s', image = 'tiny-os.elf', memory = '2M', engine = '%s' }\n" \
    "s:run { timeout = '60s' }\n"

static const char *const engines[] = {"flip", "remap", "slots"};

/* A run with a log, which is whole. To be freed. */
static char *run(struct mezz_process *mezz, const char *group, const char *engine)
{
    static const char *const argv[] = {"run",   "t.lua",   "--json", "out.json",
                                       "--log", "run.log", NULL};
    static const char *const verify[] = {"log", "verify", "run.log", NULL};
    char text[1024];
    char *log;

    snprintf(text, sizeof(text), STACK, group, group, engine);
    mezz_begin(mezz);
    mezz_write(mezz, "t.lua", text, strlen(text));
    mezz_run(mezz, argv);
    mezz_expect(mezz, 0, "");
    mezz_run(mezz, verify);
    mezz_expect(mezz, 0, "");
    log = mezz_read(mezz, "run.log");
    ck_assert_ptr_nonnull(log);
    return log;
}

/* Each exit of the gate is a refusal in the log, and what L2 asked for is told. */
START_TEST(gate)
{
    struct mezz_process mezz;
    char *log = run(&mezz, "gate", engines[_i]);
    json_t *json = mezz_json(&mezz);

    ck_assert_uint_ge(
        mezz_occurrences(log, "\"level\":2,\"l2\":\"gate\",\"from\":0,\"to\":2,\"rip\":\"0x"), 1);
    ck_assert_uint_ge(mezz_occurrences(log, "\"reason\":\"gate\",\"verdict\":\"switch\""), 100);
    ck_assert_uint_ge(mezz_occurrences(log, "\"reason\":\"gate-index\",\"verdict\":\"exit\""), 6);
    ck_assert_uint_ge(mezz_occurrences(log, "\"reason\":\"gate-site\",\"verdict\":\"exit\""), 3);
    ck_assert_uint_ge(mezz_occurrences(log, "\"reason\":\"gate-store\",\"verdict\":\"exit\""), 1);
    ck_assert_uint_ge(mezz_occurrences(log, "\"index\":512"), 1);
    ck_assert_uint_ge(mezz_occurrences(log, "\"index\":\"18446744073709551615\""), 1);
    ck_assert_uint_eq(mezz_occurrences(log, "\"verdict\":\"exit\""),
                      (size_t)(mezz_count_at(json, "levels.l2.gate.exits.gate.reflect") +
                               mezz_count_at(json, "levels.l2.gate.exits.gate.callback")));
    free(log);
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

/* A handler of L1's that answers with a view. */
START_TEST(callback)
{
    struct mezz_process mezz;
    char *log = run(&mezz, "views", engines[_i]);

    ck_assert_uint_ge(mezz_occurrences(log, "\"level\":1,\"l2\":\"views\",\"from\":1,\"to\":0,"),
                      1);
    ck_assert_uint_ge(mezz_occurrences(log, "\"reason\":\"callback\",\"verdict\":\"switch\""), 2);
    free(log);
    mezz_end(&mezz, 3);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "e2e_view_log", 120, EACH(gate, ELEMENTS(engines)),
             EACH(callback, ELEMENTS(engines)))
