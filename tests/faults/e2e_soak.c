/* SPDX-License-Identifier: Apache-2.0 */
/* stacks/soak.lua for two minutes, or as long as MEZZ_SOAK_SECONDS says: what the process takes of
 * the host is the same at the end as in the beginning. */
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

static struct sample samples[LONGEST];
static unsigned long count;

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

/* Adds a process up, if it is one of the group. */
static void add(struct sample *sample, const char *process, pid_t group)
{
    char path[300];
    char line[1024];
    const char *behind_name;
    unsigned long threads;
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
               &its_group, &threads, &pages) == 3 &&
        its_group == group) {
        sample->memory += (unsigned long)pages * 4;
        sample->threads += threads;
        sample->files += count_files(process);
    }
    fclose(file);
}

static struct sample take(pid_t group)
{
    struct sample sample = {0, 0, 0};
    DIR *directory = opendir("/proc");
    const struct dirent *entry;

    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL)
        if (isdigit((unsigned char)entry->d_name[0]))
            add(&sample, entry->d_name, group);
    closedir(directory);
    return sample;
}

static bool is_over(pid_t child)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

static void watch(const struct mezz_process *mezz, pid_t child)
{
    (void)mezz;
    for (sleep(1); !is_over(child) && count < LONGEST; sleep(1))
        samples[count++] = take(child);
}

/* The most of each between two samples. */
static struct sample most_of(unsigned long from, unsigned long to)
{
    struct sample most = {0, 0, 0};

    for (unsigned long i = from; i < to; i++) {
        most.memory = samples[i].memory > most.memory ? samples[i].memory : most.memory;
        most.files = samples[i].files > most.files ? samples[i].files : most.files;
        most.threads = samples[i].threads > most.threads ? samples[i].threads : most.threads;
    }
    return most;
}

/* The stack file, for so many seconds. */
static void write_stack(const struct mezz_process *mezz, unsigned long seconds)
{
    char text[8192];
    char stack[8300];
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

START_TEST(flat)
{
    static const char *const words[] = {"run", "soak.lua", NULL};
    const char *variable = getenv("MEZZ_SOAK_SECONDS");
    unsigned long seconds = variable != NULL ? strtoul(variable, NULL, 0) : DEFAULT_SECONDS;
    struct mezz_process mezz;
    struct sample early, late;
    const char *said;

    ck_assert_uint_lt(seconds, LONGEST / 2);
    mezz_begin(&mezz);
    write_stack(&mezz, seconds);
    mezz.during = watch;
    mezz_run(&mezz, words);
    mezz_expect(&mezz, 0, "");
    ck_assert_uint_ge(count, seconds / 2);
    early = most_of(count / 10, count / 2);
    late = most_of(count / 2, count);
    said = strstr(mezz.out, "PASS soak: nothing was wrong");
    while (said != NULL && said > mezz.out && strncmp(said, "soak: seconds", 13) != 0)
        said--;
    printf("soak: %lu samples; the most in the first half and in the second: memory %lu and %lu "
           "KiB, files %lu and %lu, threads %lu and %lu\n%.*s\n",
           count, early.memory, late.memory, early.files, late.files, early.threads, late.threads,
           said != NULL ? (int)strcspn(said, "\n") : 0, said != NULL ? said : "");
    fflush(stdout);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed, up to 256 MiB of it */
    ck_assert_uint_le(late.memory, early.memory + MEMORY_KIB);
#endif
    ck_assert_uint_le(late.files, early.files + FILES);
    ck_assert_uint_le(late.threads, early.threads + FILES);
    mezz_end(&mezz, 1);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "soak", 7200, ONCE(flat))
