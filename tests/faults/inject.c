/* SPDX-License-Identifier: Apache-2.0 */
#include "inject.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_DEPTH  24
#define THING_SLOTS 65536U /* a power of two */
#define FD_LIMIT    1024

/* Linker: the program's own code. */
extern const char __executable_start[];
extern const char etext[];

const char *const inject_kind_name[INJECT_KINDS] = {
    [INJECT_MEMORY] = "memory", [INJECT_MMAP] = "mmap", [INJECT_IOCTL] = "ioctl",
    [INJECT_RUN] = "run",       [INJECT_FILE] = "file", [INJECT_THREAD] = "thread",
};

struct thing {
    const void *what;
    const char *name;
    unsigned int path;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool on;
static enum inject_kind wanted_kind;
static unsigned long wanted_number;
static unsigned long wanted_count;
static int wanted_errno;
static unsigned long number;
static FILE *report;
static struct thing things[THING_SLOTS];
static size_t thing_count;
static bool open_before[FD_LIMIT];
/* What the injector itself does is none of the root's. */
static _Thread_local bool inside;

/* A hash of the return addresses in the program itself, which lies elsewhere in each process. */
static unsigned int call_path(void)
{
    void *frame[PATH_DEPTH];
    int depth = backtrace(frame, PATH_DEPTH);
    uint64_t hash = 0xcbf29ce484222325ULL;

    for (int i = 0; i < depth; i++) {
        uintptr_t at = (uintptr_t)frame[i];

        if (at < (uintptr_t)__executable_start || at >= (uintptr_t)etext)
            continue;
        hash = (hash ^ (at - (uintptr_t)__executable_start)) * 0x100000001b3ULL;
    }
    return (unsigned int)(hash ^ hash >> 32);
}

bool inject_fails(enum inject_kind kind, const char *name)
{
    bool fails = false;

    if (!on || inside || kind != wanted_kind)
        return false;
    inside = true;
    pthread_mutex_lock(&lock);
    number++;
    if (wanted_number == 0) {
        fprintf(report, "call %08x\n", call_path());
    } else if (number >= wanted_number && number - wanted_number < wanted_count) {
        fails = true;
        if (number == wanted_number)
            fprintf(report, "hit %08x %s\n", call_path(), name);
        fflush(report);
    }
    pthread_mutex_unlock(&lock);
    inside = false;
    if (fails)
        errno = wanted_errno;
    return fails;
}

static size_t home_of(const void *what)
{
    return (size_t)((uintptr_t)what * 0x9e3779b97f4a7c15ULL >> 48) % THING_SLOTS;
}

void inject_made(const void *what, const char *name)
{
    size_t at = home_of(what);

    if (!on || inside || what == NULL)
        return;
    inside = true;
    pthread_mutex_lock(&lock);
    if (++thing_count > THING_SLOTS / 2) {
        fprintf(stderr, "inject: more than %u things at once\n", THING_SLOTS / 2);
        abort();
    }
    while (things[at].what != NULL)
        at = (at + 1) % THING_SLOTS;
    things[at] = (struct thing){what, name, call_path()};
    pthread_mutex_unlock(&lock);
    inside = false;
}

/* Under the lock: closes the gap, so that searches need no tombstones. */
static void remove_at(size_t gap)
{
    thing_count--;
    things[gap].what = NULL;
    for (size_t at = (gap + 1) % THING_SLOTS; things[at].what != NULL;
         at = (at + 1) % THING_SLOTS) {
        size_t home = home_of(things[at].what);

        if ((at - home) % THING_SLOTS < (at - gap) % THING_SLOTS)
            continue;
        things[gap] = things[at];
        things[at].what = NULL;
        gap = at;
    }
}

void inject_gone(const void *what)
{
    size_t at = home_of(what);

    if (!on || inside || what == NULL)
        return;
    pthread_mutex_lock(&lock);
    while (things[at].what != NULL && things[at].what != what)
        at = (at + 1) % THING_SLOTS;
    if (things[at].what != NULL)
        remove_at(at);
    pthread_mutex_unlock(&lock);
}

/* Calls with each file that is open. */
static void each_file(void (*call)(int fd))
{
    DIR *directory = opendir("/proc/self/fd");
    const struct dirent *entry;

    if (directory == NULL)
        abort();
    while ((entry = readdir(directory)) != NULL) {
        int fd = atoi(entry->d_name);

        if (entry->d_name[0] != '.' && fd != dirfd(directory) && fd < FD_LIMIT)
            call(fd);
    }
    closedir(directory);
}

static void note_file(int fd)
{
    open_before[fd] = true;
}

static void report_file(int fd)
{
    char link[64];
    char name[256];
    ssize_t length;

    if (open_before[fd])
        return;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, name, sizeof(name));
    fprintf(report, "leak file %d %.*s\n", fd, length < 0 ? 0 : (int)length, name);
}

static void begin(const char *wanted)
{
    const char *path = getenv(INJECT_LOG_VARIABLE);
    char kind[16] = "";
    void *frame[1];

    if (path == NULL || (report = fopen(path, "we")) == NULL ||
        sscanf(wanted, "%15[a-z]:%lu:%lu:%d", kind, &wanted_number, &wanted_count, &wanted_errno) !=
            4)
        abort();
    while (wanted_kind < INJECT_KINDS && strcmp(kind, inject_kind_name[wanted_kind]) != 0)
        wanted_kind++;
    if (wanted_kind == INJECT_KINDS)
        abort();
    backtrace(frame, 1); /* loads what it needs */
    each_file(note_file);
    on = true;
}

static void end(int status)
{
    inside = true;
    for (size_t i = 0; i < THING_SLOTS; i++)
        if (things[i].what != NULL)
            fprintf(report, "leak %s by %08x\n", things[i].name, things[i].path);
    each_file(report_file);
    fprintf(report, "end %d\n", status);
    fclose(report);
}

int main(int argc, char **argv)
{
    const char *wanted = getenv(INJECT_VARIABLE);
    int status;

    if (wanted == NULL)
        return inject_test_main();
    begin(wanted);
    status = mezz_main(argc, argv);
    end(status);
    return status;
}
