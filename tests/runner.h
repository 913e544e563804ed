/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_RUNNER_H
#define TESTS_RUNNER_H

/*
 * The frame of a test program: it lists its cases, and this file runs them under Check, prints its
 * summary line ("100%: Checks: 7, Failures: 0, Errors: 0") and gives an exit status: 0 all passed,
 * 1 not, 77 this machine cannot run them. Use it at the end of a file:
 *
 *     RUN_CASES("ept12", 30, ONCE(empty), EACH(rights, RIGHTS_COUNT))
 *
 * The number is the time limit of one case in seconds (CK_TIMEOUT_MULTIPLIER stretches it). Each
 * case runs in a process of its own. RUN_CASES_IF has a function in front that returns NULL, or one
 * line that says why the program cannot run here.
 */

#include <check.h>
#include <stddef.h>
#include <stdio.h>

#define RUNNER_SKIPPED 77

struct runner_case {
    const TTest *test;
    int count; /* of runs, with _i from 0 on */
};

#define ONCE(test)        ((struct runner_case){(test), 1})
#define EACH(test, count) ((struct runner_case){(test), (int)(count)})

#define ELEMENTS(array)   (sizeof(array) / sizeof((array)[0]))

static int run_cases(const char *name, double seconds, const struct runner_case *cases,
                     size_t count)
{
    Suite *suite = suite_create(name);
    TCase *tests = tcase_create(name);
    SRunner *runner;
    int failed;

    tcase_set_timeout(tests, seconds);
    for (size_t i = 0; i < count; i++)
        tcase_add_loop_test(tests, cases[i].test, 0, cases[i].count);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

static inline const char *runner_always(void)
{
    return NULL;
}

#define RUN_CASES_IF(obstacle, name, seconds, ...)               \
    int main(void)                                               \
    {                                                            \
        const struct runner_case cases[] = {__VA_ARGS__};        \
        const char *reason = obstacle();                         \
                                                                 \
        if (reason != NULL) {                                    \
            fprintf(stderr, "skipped: %s: %s\n", name, reason);  \
            return RUNNER_SKIPPED;                               \
        }                                                        \
        return run_cases(name, seconds, cases, ELEMENTS(cases)); \
    }

#define RUN_CASES(name, seconds, ...) RUN_CASES_IF(runner_always, name, seconds, __VA_ARGS__)

#endif
