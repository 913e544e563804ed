/* SPDX-License-Identifier: Apache-2.0 */
/* stacks/soak.lua for two minutes, or as long as MEZZ_SOAK_SECONDS says: what the processes take of
 * the host is the same at the end as in the beginning, over all of it and in each machine. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mezz_process.h"
#include "runner.h"

#define DEFAULT_SECONDS 120UL
#define LONGEST         7200UL
#define BRIEFEST        60UL   /* for machines that live long enough to be looked at */
#define TOLD            8192UL /* bytes of its output */
#define SHORTEST        8UL    /* samples of a machine that are looked at */
#define USUAL           "seconds = 1800"
/* What malloc() and a random number of L2s make of it; a leak of one page or one file in an L2's
 * life would be more within two minutes. */
#define MEMORY_KIB 3072UL
#define FILES      12UL

struct sample {
    unsigned long memory; /* KiB, resident */
    unsigned long files;
    unsigned long threads;
};

/* Of the first process, which lives all the time, and of the machine that it has then. */
static struct {
    struct sample outside;
    struct sample machine;
    pid_t pid; /* of the machine's process; 0: there is none */
} samples[LONGEST];
static unsigned long count;

/* 0: this user may not look into a machine's process, which only root may. */
static unsigned long count_files(const char *process)
{
    char path[300];
    DIR *directory;
    unsigned long files = 0;

    snprintf(path, sizeof(path), "/proc/%s/fd", process);
    directory = opendir(path);
    while (directory != NULL && readdir(directory) != NULL)
        files++;
    if (directory != NULL)
        closedir(directory);
    return files > 2 ? files - 2 : 0;
}

/* Takes a process, if it is one of the group. */
static void add(const char *process, pid_t group)
{
    const pid_t pid = atoi(process);
    struct sample sample = {0, 0, 0};
    char path[300];
    char line[1024];
    const char *behind_name;
    long pages;
    int its_group;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%s/stat", process);
    file = fopen(path, "r");
    if (file == NULL)
        return;
    /* proc(5): state, parent, group, ... 17 threads, ... 21 resident pages, behind the name */
    if (fgets(line, sizeof(line), file) != NULL && (behind_name = strrchr(line, ')')) != NULL &&
        sscanf(behind_name,
               ") %*c %*d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %lu %*d %*u "
               "%*u %ld",
               &its_group, &sample.threads, &pages) == 3 &&
        its_group == group && pages > 0) {
        sample.memory = (unsigned long)pages * 4;
        sample.files = count_files(process);
        if (pid == group) {
            samples[count].outside = sample;
        } else {
            samples[count].machine = sample;
            samples[count].pid = pid;
        }
    }
    fclose(file);
}

static void take(pid_t group)
{
    DIR *directory = opendir("/proc");
    const struct dirent *entry;

    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL)
        if (isdigit((unsigned char)entry->d_name[0]))
            add(entry->d_name, group);
    closedir(directory);
}

static bool is_over(pid_t child)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

static void watch(const struct mezz_process *mezz, pid_t child)
{
    (void)mezz;
    for (sleep(1); !is_over(child) && count < LONGEST; sleep(1)) {
        take(child);
        count++;
    }
}

static void raise_to(struct sample *most, const struct sample *sample)
{
    most->memory = sample->memory > most->memory ? sample->memory : most->memory;
    most->files = sample->files > most->files ? sample->files : most->files;
    most->threads = sample->threads > most->threads ? sample->threads : most->threads;
}

/* The most of each in the first half, but for its beginning, and in the second, is the same. */
static void expect_flat(const char *what, unsigned long from, unsigned long to, bool machine)
{
    const unsigned long middle = from + (to - from) / 2;
    struct sample early = {0, 0, 0};
    struct sample late = {0, 0, 0};

    for (unsigned long i = from + (to - from) / 10; i < to; i++)
        raise_to(i < middle ? &early : &late, machine ? &samples[i].machine : &samples[i].outside);
    printf(
        "soak: %s, %lu samples; the most in the first half and in the second: memory %lu and %lu "
        "KiB, files %lu and %lu, threads %lu and %lu\n",
        what, to - from, early.memory, late.memory, early.files, late.files, early.threads,
        late.threads);
    fflush(stdout);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed, up to 256 MiB of it */
    ck_assert_uint_le(late.memory, early.memory + MEMORY_KIB);
#endif
    ck_assert_uint_le(late.files, early.files + FILES);
    ck_assert_uint_le(late.threads, early.threads + FILES);
}

/* Each machine that lived long enough; how many there were. */
static unsigned int expect_machines_flat(void)
{
    unsigned int machines = 0;
    unsigned long from = 0;

    while (from < count) {
        unsigned long to = from;
        char what[32];

        while (to < count && samples[to].pid == samples[from].pid)
            to++;
        if (samples[from].pid != 0 && to - from >= SHORTEST) {
            snprintf(what, sizeof(what), "machine %u", ++machines);
            expect_flat(what, from, to, true);
        }
        from = to;
    }
    return machines;
}

/* The stack file, for so many seconds. */
static void write_stack(const struct mezz_process *mezz, unsigned long seconds)
{
    static char text[16384];
    static char stack[sizeof(text) + 100];
    char path[512];
    const char *place;
    size_t length;
    FILE *file;

    snprintf(path, sizeof(path), "%s/soak.lua", getenv("MEZZ_STACKS"));
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    length = fread(text, 1, sizeof(text) - 1, file);
    text[length] = '\0';
    fclose(file);
    place = strstr(text, USUAL);
    ck_assert_ptr_nonnull(place);
    snprintf(stack, sizeof(stack), "%.*sseconds = %lu%s", (int)(place - text), text, seconds,
             place + strlen(USUAL));
    mezz_write(mezz, "soak.lua", stack, strlen(stack));
}

/* What a run said at its end, if it went wrong: all of it is more than Check prints. */
static void tell_end(const struct mezz_process *mezz)
{
    const size_t length = strlen(mezz->out);

    if (mezz->status != 0)
        printf("soak: status %d, stderr:\n%s\nthe end of stdout:\n%s\n", mezz->status, mezz->err,
               mezz->out + (length > TOLD ? length - TOLD : 0));
    fflush(stdout);
}

START_TEST(flat)
{
    static const char *const words[] = {"run", "soak.lua", NULL};
    const char *variable = getenv("MEZZ_SOAK_SECONDS");
    unsigned long seconds = variable != NULL ? strtoul(variable, NULL, 0) : DEFAULT_SECONDS;
    struct mezz_process mezz;
    char images[1024];
    const char *said;

    ck_assert_msg(seconds >= BRIEFEST && seconds < LONGEST / 2,
                  "MEZZ_SOAK_SECONDS=%s: from %lu to %lu s", variable, BRIEFEST,
                  (unsigned long)LONGEST / 2 - 1);
    mezz_begin(&mezz);
    write_stack(&mezz, seconds);
    /* The rules are beside the stacks. */
    snprintf(images, sizeof(images), "MEZZ_IMAGES=%s:%s", getenv("MEZZ_IMAGES"),
             getenv("MEZZ_STACKS"));
    mezz.environment[0] = images;
    mezz.during = watch;
    mezz_run(&mezz, words);
    tell_end(&mezz);
    ck_assert_int_eq(mezz.status, 0);
    ck_assert_str_eq(mezz.err, "");
    ck_assert_uint_ge(count, seconds / 2);
    said = strstr(mezz.out, "soak in all: ");
    ck_assert_ptr_nonnull(said);
    printf("%.*s\n", (int)strcspn(said, "\n"), said);
    expect_flat("mezz itself", 0, count, false);
    ck_assert_uint_ge(expect_machines_flat(), 4);
    mezz_end(&mezz, 1);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "soak", 7200, ONCE(flat))
