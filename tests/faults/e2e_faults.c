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

#include "inject.h"
#include "mezz_process.h"

#define main inject_test_main
#include "runner.h"

#define LOG        "inject.log"
#define CALLS_MAX  65536U
#define PATH_TAKES 2U /* of one call path: the first ones, and the last */
#define STATUS(n)  (1U << (n))
#define MOST_FILES 8
#define SOME_RUNS  24U
#define SHARE      "MEZZ_FAULTS_SHARE" /* n: every n-th of the calls that are worth it */

static const char stack[] =
    "local s = mezz.stack { memory = '64M' }\n"
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M', cmdline = 'exits=callback' }\n"
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"
    "    programs = { 'hello.elf' } }\n"
    "local r = s:run { timeout = '20s' }\n"
    "print(r.status)\n"
    "mezz.expect(tiny.console:find 'hello from ring 3', 'the guest ran')\n";

static const char *const run_words[] = {"run",      "t.lua",   "--no-cage",  "--json",
                                        "out.json", "--trace", "trace.json", NULL};
/* What is called before the machine has a process of its own is tried without a cage. */
static const char *const caged_words[] = {"run",     "t.lua",      "--json", "out.json",
                                          "--trace", "trace.json", NULL};
static const char *const info_words[] = {"info", "--json", "info.json", NULL};

static const char whole_run[] = "1 of 1 expectations held";

/* What may come of the faults of a kind. A fault of the host is 3; one that L1 learns of as an
 * error code is 4, as L1 ends the machine then; a file that cannot be read is 2. 0 is always
 * possible: one can do without some things. */
static const struct scenario {
    const char *const *words;
    const char *json;  /* the file that is written */
    const char *whole; /* stdout has this when the status is 0 */
    enum inject_kind kind;
    int code;
    unsigned int count; /* of calls that fail, one after the other */
    unsigned int statuses;
} scenarios[] = {
    {run_words, "out.json", whole_run, INJECT_MEMORY, ENOMEM, 1, STATUS(3) | STATUS(4)},
    {run_words, "out.json", whole_run, INJECT_MEMORY, ENOMEM, 1000, STATUS(3) | STATUS(4)},
    {run_words, "out.json", whole_run, INJECT_MMAP, ENOMEM, 1, STATUS(3) | STATUS(4)},
    {run_words, "out.json", whole_run, INJECT_IOCTL, ENOMEM, 1, STATUS(3) | STATUS(4)},
    {run_words, "out.json", whole_run, INJECT_IOCTL, EINVAL, 1000, STATUS(3) | STATUS(4)},
    {run_words, "out.json", whole_run, INJECT_RUN, EFAULT, 1, STATUS(3)},
    {run_words, "out.json", whole_run, INJECT_RUN, EINTR, 1, 0},
    {run_words, "out.json", whole_run, INJECT_FILE, EIO, 1, STATUS(2) | STATUS(3)},
    {run_words, "out.json", whole_run, INJECT_FILE, EMFILE, 1000, STATUS(2) | STATUS(3)},
    {run_words, "out.json", whole_run, INJECT_THREAD, EAGAIN, 1, STATUS(3)},
    {caged_words, "out.json", whole_run, INJECT_MEMORY, ENOMEM, 1, STATUS(3) | STATUS(4)},
    {caged_words, "out.json", whole_run, INJECT_MEMORY, ENOMEM, 1000, STATUS(3) | STATUS(4)},
    {caged_words, "out.json", whole_run, INJECT_MMAP, ENOMEM, 1, STATUS(3) | STATUS(4)},
    {caged_words, "out.json", whole_run, INJECT_IOCTL, ENOMEM, 1, STATUS(3) | STATUS(4)},
    {caged_words, "out.json", whole_run, INJECT_IOCTL, EINVAL, 1000, STATUS(3) | STATUS(4)},
    {caged_words, "out.json", whole_run, INJECT_RUN, EFAULT, 1, STATUS(3)},
    {caged_words, "out.json", whole_run, INJECT_RUN, EINTR, 1, 0},
    {caged_words, "out.json", whole_run, INJECT_FILE, EIO, 1, STATUS(2) | STATUS(3)},
    {caged_words, "out.json", whole_run, INJECT_FILE, EMFILE, 1000, STATUS(2) | STATUS(3)},
    {caged_words, "out.json", whole_run, INJECT_THREAD, EAGAIN, 1, STATUS(3)},
    {info_words, "info.json", "", INJECT_MEMORY, ENOMEM, 1, STATUS(3)},
    {info_words, "info.json", "", INJECT_MEMORY, ENOMEM, 1000, STATUS(3)},
    {info_words, "info.json", "", INJECT_MMAP, ENOMEM, 1, STATUS(3)},
    {info_words, "info.json", "", INJECT_IOCTL, ENOMEM, 1, STATUS(3)},
    {info_words, "info.json", "", INJECT_RUN, EFAULT, 1, STATUS(3)},
    {info_words, "info.json", "", INJECT_FILE, EIO, 1, STATUS(3)},
    {info_words, "info.json", "", INJECT_THREAD, EAGAIN, 1, STATUS(3)},
};

/* The calls of one run: their number is their index + 1. */
struct calls {
    unsigned int path[CALLS_MAX];
    unsigned int count;
    unsigned int first; /* that is tried: behind the fork, if there is one */
    json_t *json;       /* what the run wrote */
};

static void run_once(const struct scenario *scenario, struct mezz_process *mezz,
                     unsigned int number)
{
    static char variable[64];

    snprintf(variable, sizeof(variable), INJECT_VARIABLE "=%s:%u:%u:%d",
             inject_kind_name[scenario->kind], number, scenario->count, scenario->code);
    mezz_begin(mezz);
    mezz_write(mezz, "t.lua", stack, sizeof(stack) - 1);
    mezz->environment[0] = variable;
    mezz->environment[1] = INJECT_LOG_VARIABLE "=" LOG;
    mezz_run(mezz, scenario->words);
}

/* The file of what is left behind, and no other that we do not know. */
static void finish_once(struct mezz_process *mezz)
{
    static const char *const known[] = {"t.lua", LOG, "out.json", "trace.json", "info.json"};
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

static void count_calls(const struct scenario *scenario, struct calls *calls)
{
    struct mezz_process mezz;
    char line[256];
    FILE *log;

    run_once(scenario, &mezz, 0);
    mezz_expect(&mezz, 0, "");
    log = open_log(&mezz);
    calls->count = calls->first = 0;
    while (fgets(line, sizeof(line), log) != NULL) {
        ck_assert_msg(strncmp(line, "leak", 4) != 0, "without any fault: %s", line);
        if (sscanf(line, "call %x", &calls->path[calls->count]) == 1)
            ck_assert_uint_lt(++calls->count, CALLS_MAX);
        else if (strcmp(line, "fork\n") == 0 && scenario->kind != INJECT_THREAD)
            calls->first = calls->count;
    }
    fclose(log);
    calls->json = read_json(&mezz, scenario->json);
    ck_assert_ptr_nonnull(calls->json);
    finish_once(&mezz);
}

/* Whether this call is one to try: the first ones and the last of its call path. KVM_RUNs, of which
 * there are many alike, are tried here and there as well. */
static bool worth_it(const struct scenario *scenario, const struct calls *calls, unsigned int at)
{
    unsigned int before = 0;
    bool last = true;

    for (unsigned int i = calls->first; i < calls->count; i++) {
        before += i < at && calls->path[i] == calls->path[at];
        last &= i <= at || calls->path[i] != calls->path[at];
    }
    /* When all calls fail from here on, it makes no difference how many there were. */
    if (scenario->count > 1)
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
static bool find_fault(const struct scenario *scenario, const struct mezz_process *mezz,
                       json_t *whole, char *wrong, size_t size)
{
    json_t *json = read_json(mezz, scenario->json);
    const char *rest = mezz->err;
    bool status_known =
        mezz->status == 0 || (mezz->status < 32 && scenario->statuses & STATUS(mezz->status));

    if (!status_known)
        snprintf(wrong, size, "status %d", mezz->status);
    else if (mezz->status == 0 && strstr(mezz->out, scenario->whole) == NULL)
        snprintf(wrong, size, "status 0 without \"%s\"", scenario->whole);
    else if ((mezz->status == 0) != (mezz->err[0] == '\0'))
        snprintf(wrong, size, "status %d, and %s on stderr", mezz->status,
                 mezz->err[0] == '\0' ? "nothing" : "something");
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
static unsigned int try_one(const struct scenario *scenario, unsigned int number, json_t *whole)
{
    struct mezz_process mezz;
    char wrong[256] = "main() did not return";
    char hit[256] = "not reached\n";
    char line[256];
    FILE *log;

    run_once(scenario, &mezz, number);
    log = open_log(&mezz);
    while (fgets(line, sizeof(line), log) != NULL) {
        if (strncmp(line, "hit ", 4) == 0)
            snprintf(hit, sizeof(hit), "%s", line);
        else if (strncmp(line, "end ", 4) == 0 && strncmp(wrong, "leak", 4) != 0)
            find_fault(scenario, &mezz, whole, wrong, sizeof(wrong));
        else if (strncmp(line, "leak ", 5) == 0)
            snprintf(wrong, sizeof(wrong), "%s", line);
    }
    fclose(log);
    if (wrong[0] != '\0')
        fprintf(stderr, "%s %s, call %u with errno %d: %s\n  call: %s  status %d, stderr: %s\n",
                scenario->words[0], inject_kind_name[scenario->kind], number, scenario->code, wrong,
                hit, mezz.status, mezz.err);
    finish_once(&mezz);
    return wrong[0] != '\0';
}

START_TEST(one_fault)
{
    static struct calls calls;
    const struct scenario *scenario = &scenarios[_i];
    const unsigned int share = share_divisor();
    unsigned int failures = 0;
    unsigned int worth = 0;
    unsigned int tried = 0;

    count_calls(scenario, &calls);
    for (unsigned int i = calls.first; i < calls.count; i++) {
        /* Another part of a share in each scenario. */
        if (!worth_it(scenario, &calls, i) || (worth++ + (unsigned int)_i) % share != 0)
            continue;
        tried++;
        failures += try_one(scenario, i + 1, calls.json);
    }
    json_decref(calls.json);
    printf("faults: %s%s, %u %s with errno %d: %u of %u calls tried (%u of them "
           "are worth it), %u failures\n",
           scenario->words[0], scenario->words == caged_words ? " in its cage" : "",
           scenario->count, inject_kind_name[scenario->kind], scenario->code, tried, calls.count,
           worth, failures);
    fflush(stdout);
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

RUN_CASES_IF(obstacle, "faults", 600, EACH(one_fault, ELEMENTS(scenarios)))
