/* SPDX-License-Identifier: Apache-2.0 */
/* Each call of the host fails once: mezz says so in a line, ends with the right status in time, and
 * leaves nothing behind. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault_scenarios.h"
#include "mezz_process.h"

#define main inject_test_main
#include "runner.h"

#define LOG        "inject.log"
#define CALLS_MAX  65536U
#define PATH_TAKES 2U /* of one call path: the first ones, and the last */
#define SOME_RUNS  24U
#define SHARE      "MEZZ_FAULTS_SHARE" /* n: every n-th of the calls that are worth it */
#define ONLY       "MEZZ_FAULTS_ONLY"  /* what the name of a scenario has to begin with */

/* The calls of a kind in one run: their number is their index + 1. */
struct calls {
    unsigned int path[CALLS_MAX];
    bool elsewhere[CALLS_MAX]; /* the plainer scenario has such a call too */
    unsigned int count;
    unsigned int first; /* that is tried: behind the fork, if there is one */
};

/* A run in which nothing fails. */
struct whole {
    struct calls calls[INJECT_KINDS];
    json_t *json; /* what it wrote */
};

static void run_once(const struct fault_scenario *scenario, const struct fault_kind *kind,
                     struct mezz_process *mezz, unsigned int number)
{
    static char variable[64];

    snprintf(variable, sizeof(variable), INJECT_VARIABLE "=%s:%u:%u:%d",
             inject_kind_name[kind->kind], number, kind->count, kind->code);
    mezz_begin(mezz);
    if (scenario->stack != NULL)
        mezz_write(mezz, "t.lua", scenario->stack, strlen(scenario->stack));
    mezz_write(mezz, FAULT_RULES, FAULT_RULES_TEXT, sizeof(FAULT_RULES_TEXT) - 1);
    mezz->environment[0] = variable;
    mezz->environment[1] = INJECT_LOG_VARIABLE "=" LOG;
    mezz_run(mezz, scenario->words);
}

/* The file of what is left behind, and no other that we do not know. */
static void finish_once(struct mezz_process *mezz)
{
    static const char *const known[] = {"t.lua",    FAULT_RULES,  LOG,        "run.log",
                                        "out.json", "trace.json", "info.json"};
    char path[PATH_MAX];
    int files = 0;

    for (size_t i = 0; i < ELEMENTS(known); i++) {
        snprintf(path, sizeof(path), "%s/%s", mezz->directory, known[i]);
        files += access(path, F_OK) == 0;
    }
    mezz_end(mezz, files);
}

static json_t *read_json(const struct mezz_process *mezz, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", mezz->directory, name);
    return json_load_file(path, JSON_ALLOW_NUL, NULL);
}

/* Whether b has all that a has, apart from values, and from which exits there were. A report may
 * lack registrations that are gone: callback_report() says why. */
static bool same_shape(json_t *a, json_t *b)
{
    const char *key;
    json_t *member;
    size_t i;

    if (a == NULL || b == NULL || (json_typeof(a) != json_typeof(b) && !json_is_boolean(a)))
        return false;
    json_object_foreach(a, key, member)
    {
        if (strcmp(key, "exits") != 0 && strcmp(key, "callbacks") != 0 &&
            !same_shape(member, json_object_get(b, key)))
            return false;
    }
    json_array_foreach(a, i, member)
    {
        if (!same_shape(member, json_array_get(b, i)))
            return false;
    }
    return true;
}

static FILE *open_log(const struct mezz_process *mezz)
{
    char path[PATH_MAX];
    FILE *log;

    snprintf(path, sizeof(path), "%s/" LOG, mezz->directory);
    log = fopen(path, "r");
    ck_assert_ptr_nonnull(log);
    return log;
}

static unsigned int kind_by_name(const char *name)
{
    unsigned int kind = 0;

    while (kind < INJECT_KINDS && strcmp(name, inject_kind_name[kind]) != 0)
        kind++;
    ck_assert_msg(kind < INJECT_KINDS, "the injector's log has a kind %s", name);
    return kind;
}

static void note_line(const char *line, struct whole *whole)
{
    struct calls *calls;
    unsigned int path;
    char kind[16];

    ck_assert_msg(strncmp(line, "leak", 4) != 0, "without any fault: %s", line);
    if (sscanf(line, "call %15s %x", kind, &path) == 2) {
        calls = &whole->calls[kind_by_name(kind)];
        ck_assert_uint_lt(calls->count, CALLS_MAX);
        calls->path[calls->count++] = path;
    } else if (strcmp(line, "fork\n") == 0) {
        for (unsigned int i = 0; i < INJECT_KINDS; i++)
            if (i != INJECT_THREAD)
                whole->calls[i].first = whole->calls[i].count;
    }
}

static void run_whole(const struct fault_scenario *scenario, struct whole *whole)
{
    struct mezz_process mezz;
    char line[256];
    FILE *log;

    memset(whole, 0, sizeof(*whole));
    run_once(scenario, scenario->kinds, &mezz, 0);
    mezz_expect(&mezz, 0, "");
    log = open_log(&mezz);
    while (fgets(line, sizeof(line), log) != NULL)
        note_line(line, whole);
    fclose(log);
    whole->json = read_json(&mezz, scenario->json);
    ck_assert_ptr_nonnull(whole->json);
    finish_once(&mezz);
}

static int compare_paths(const void *a, const void *b)
{
    const unsigned int one = *(const unsigned int *)a;
    const unsigned int other = *(const unsigned int *)b;

    return (one > other) - (one < other);
}

static void note_elsewhere_of(struct calls *calls, struct calls *others)
{
    qsort(others->path, others->count, sizeof(others->path[0]), compare_paths);
    for (unsigned int i = 0; i < calls->count; i++)
        calls->elsewhere[i] |= bsearch(&calls->path[i], others->path, others->count,
                                       sizeof(others->path[0]), compare_paths) != NULL;
}

/* Which call paths another scenario tries. */
static void note_elsewhere(const struct fault_scenario *scenario, struct whole *whole)
{
    static struct whole other;

    for (scenario = scenario->plain; scenario != NULL; scenario = scenario->plain) {
        run_whole(scenario, &other);
        json_decref(other.json);
        for (unsigned int i = 0; i < INJECT_KINDS; i++)
            note_elsewhere_of(&whole->calls[i], &other.calls[i]);
    }
}

/* Whether this call is one to try: the first ones and the last of its call path. KVM_RUNs, of which
 * there are many alike, are tried here and there as well. */
static bool worth_it(const struct fault_kind *kind, const struct calls *calls, unsigned int at)
{
    unsigned int before = 0;
    bool last = true;

    if (calls->elsewhere[at])
        return false;
    for (unsigned int i = calls->first; i < calls->count; i++) {
        before += i < at && calls->path[i] == calls->path[at];
        last &= i <= at || calls->path[i] != calls->path[at];
    }
    /* When all calls fail from here on, it makes no difference how many there were. */
    if (kind->count > 1)
        return before == 0;
    return before < PATH_TAKES || last || at % (calls->count / SOME_RUNS + 1) == 0;
}

/* Where a lane has no time for all. */
static unsigned int share_divisor(void)
{
    const char *variable = getenv(SHARE);
    unsigned long share = variable != NULL ? strtoul(variable, NULL, 10) : 1;

    ck_assert_msg(share > 0 && share < CALLS_MAX, SHARE " is not a number");
    return (unsigned int)share;
}

/* What is wrong with the run, as a line in `wrong`; false: nothing. */
static bool find_fault(const struct fault_scenario *scenario, const struct fault_kind *kind,
                       const struct mezz_process *mezz, json_t *whole, char *wrong, size_t size)
{
    json_t *json = read_json(mezz, scenario->json);
    const char *rest = mezz->err;
    bool status_known =
        mezz->status == 0 || (mezz->status < 32 && kind->statuses & 1U << mezz->status);

    if (!status_known)
        snprintf(wrong, size, "status %d", mezz->status);
    else if (mezz->status == 0 && strstr(mezz->out, scenario->whole) == NULL)
        snprintf(wrong, size, "status 0 without \"%s\"", scenario->whole);
    else if ((mezz->status == 0) != (mezz->err[0] == '\0'))
        snprintf(wrong, size, "status %d, and %s on stderr", mezz->status,
                 mezz->err[0] == '\0' ? "nothing" : "something");
    else if (!scenario->waits && strstr(mezz->err, "the run's time of") != NULL)
        snprintf(wrong, size, "nobody saw it: it ended by its time");
    else if (mezz->status == 0 && !same_shape(whole, json))
        snprintf(wrong, size, "status 0, and %s is not whole", scenario->json);
    else
        wrong[0] = '\0';
    json_decref(json);
    for (; wrong[0] == '\0' && rest[0] != '\0'; rest = strchr(rest, '\n') + 1)
        if (strncmp(rest, "mezz: ", 6) != 0 || strchr(rest, '\n') == NULL)
            snprintf(wrong, size, "stderr is not made of lines that begin with \"mezz: \"");
    return wrong[0] != '\0';
}

/* 0 or 1, of failures. */
static unsigned int try_one(const struct fault_scenario *scenario, const struct fault_kind *kind,
                            unsigned int number, json_t *whole)
{
    struct mezz_process mezz;
    char wrong[256] = "main() did not return";
    char hit[256] = "not reached\n";
    char line[256];
    FILE *log;

    run_once(scenario, kind, &mezz, number);
    log = open_log(&mezz);
    while (fgets(line, sizeof(line), log) != NULL) {
        if (strncmp(line, "hit ", 4) == 0)
            snprintf(hit, sizeof(hit), "%s", line);
        else if (strncmp(line, "end ", 4) == 0 && strncmp(wrong, "leak", 4) != 0)
            find_fault(scenario, kind, &mezz, whole, wrong, sizeof(wrong));
        else if (strncmp(line, "leak ", 5) == 0)
            snprintf(wrong, sizeof(wrong), "%s", line);
    }
    fclose(log);
    if (wrong[0] != '\0')
        fprintf(stderr, "%s: %s, call %u with errno %d: %s\n  call: %s  status %d, stderr: %s\n",
                scenario->name, inject_kind_name[kind->kind], number, kind->code, wrong, hit,
                mezz.status, mezz.err);
    finish_once(&mezz);
    return wrong[0] != '\0';
}

/* Failures. `part`: which of the calls are this share. */
static unsigned int try_kind(const struct fault_scenario *scenario, const struct fault_kind *kind,
                             const struct whole *whole, unsigned int part)
{
    const struct calls *calls = &whole->calls[kind->kind];
    const unsigned int share = share_divisor();
    unsigned int failures = 0;
    unsigned int worth = 0;
    unsigned int tried = 0;

    for (unsigned int i = calls->first; i < calls->count; i++) {
        if (!worth_it(kind, calls, i) || (worth++ + part) % share != 0)
            continue;
        tried++;
        failures += try_one(scenario, kind, i + 1, whole->json);
    }
    printf("faults: %s, %u %s with errno %d: %u of %u calls tried (%u of them are worth it), "
           "%u failures\n",
           scenario->name, kind->count, inject_kind_name[kind->kind], kind->code, tried,
           calls->count, worth, failures);
    fflush(stdout);
    return failures;
}

START_TEST(one_fault)
{
    static struct whole whole;
    const struct fault_scenario *scenario = fault_scenarios[_i];
    const char *only = getenv(ONLY);
    unsigned int failures = 0;

    if (only != NULL && strncmp(scenario->name, only, strlen(only)) != 0)
        return;
    run_whole(scenario, &whole);
    note_elsewhere(scenario, &whole);
    for (size_t i = 0; i < scenario->kind_count; i++)
        failures += try_kind(scenario, &scenario->kinds[i], &whole, (unsigned int)(_i + (int)i));
    json_decref(whole.json);
    ck_assert_uint_eq(failures, 0);
}
END_TEST

/* Why not here; and mezz is this program. */
static const char *obstacle(void)
{
    static char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (length < 0 || setenv("MEZZ_BIN", self, 1) != 0)
        return "no /proc";
    return mezz_obstacle();
}

RUN_CASES_IF(obstacle, "faults", 600, EACH(one_fault, fault_scenario_count))
