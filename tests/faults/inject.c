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
#include <sys/mman.h>
#include <unistd.h>

#define PATH_DEPTH  24
#define THING_SLOTS 65536U /* a power of two */
#define FD_LIMIT    1024
#define TEXT_SIZE   (8UL << 20)

/* Linker: the program's own code. */
extern const char __executable_start[];
extern const char etext[];

const char *const inject_kind_name[INJECT_KINDS] = {
    [INJECT_MEMORY] = "memory", [INJECT_MMAP] = "mmap",   [INJECT_IOCTL] = "ioctl",
    [INJECT_RUN] = "run",       [INJECT_RESET] = "reset", [INJECT_FILE] = "file",
    [INJECT_THREAD] = "thread",
};

struct thing {
    const void *what;
    const char *name;
    const void *caller;
};

/* What all processes have together, as all calls are counted in one row. A process in its cage may
 * write to no file of ours: what there is to tell is kept here until the first one ends. */
struct together {
    pthread_mutex_t lock;
    unsigned long number;
    size_t length;
    char text[TEXT_SIZE];
};

static struct together *together;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool on;
static enum inject_kind wanted_kind;
static unsigned long wanted_number;
static unsigned long wanted_count;
static int wanted_errno;
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

/* Under the lock. */
__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    const size_t room = TEXT_SIZE - together->length;
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(together->text + together->length, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= room)
        abort();
    together->length += (size_t)length;
}

bool inject_fails(enum inject_kind kind, const char *name)
{
    bool fails = false;

    if (!on || inside || (wanted_number != 0 && kind != wanted_kind))
        return false;
    inside = true;
    pthread_mutex_lock(&together->lock);
    together->number++;
    if (wanted_number == 0) {
        tell("call %s %08x\n", inject_kind_name[kind], call_path());
    } else if (together->number >= wanted_number &&
               together->number - wanted_number < wanted_count) {
        fails = true;
        if (together->number == wanted_number)
            tell("hit %08x %s\n", call_path(), name);
    }
    pthread_mutex_unlock(&together->lock);
    inside = false;
    if (fails)
        errno = wanted_errno;
    return fails;
}

void inject_forks(void)
{
    if (!on)
        return;
    inside = true;
    pthread_mutex_lock(&together->lock);
    tell("fork\n");
    pthread_mutex_unlock(&together->lock);
    inside = false;
}

static size_t home_of(const void *what)
{
    return (size_t)((uintptr_t)what * 0x9e3779b97f4a7c15ULL >> 48) % THING_SLOTS;
}

/* A call path of each would take longer than all the rest of a run. */
void inject_made(const void *what, const char *name, const void *caller)
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
    things[at] = (struct thing){what, name, caller};
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

static void make_together(void)
{
    pthread_mutexattr_t shared;

    together = mmap(NULL, sizeof(*together), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (together == MAP_FAILED || pthread_mutexattr_init(&shared) != 0 ||
        pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED) != 0 ||
        pthread_mutex_init(&together->lock, &shared) != 0)
        abort();
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
    make_together();
    backtrace(frame, 1); /* loads what it needs */
    each_file(note_file);
    on = true;
}

static void end(int status)
{
    inside = true;
    fwrite(together->text, 1, together->length, report);
    for (size_t i = 0; i < THING_SLOTS; i++)
        if (things[i].what != NULL)
            fprintf(report, "leak %s by %#zx\n", things[i].name,
                    (size_t)((const char *)things[i].caller - __executable_start));
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
