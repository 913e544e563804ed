/* SPDX-License-Identifier: Apache-2.0 */
/* What the linker puts in the place of the C library's functions. The names are its: __wrap_NAME
 * is called for NAME, and __real_NAME is the library's. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/kick.h"
#include "inject.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

#define CALLER __builtin_return_address(0)

/* WRAP(KIND, failure, type, name, (parameters), (arguments)) */
#define WRAP(kind, failure, type, name, parameters, arguments)                  \
    type __real_##name parameters;                                              \
    type __wrap_##name parameters                                               \
    {                                                                           \
        return inject_fails(kind, #name) ? (failure) : __real_##name arguments; \
    }

/* WRAP_MADE: the same for what is to be freed. */
#define WRAP_MADE(name, parameters, arguments)  \
    void *__real_##name parameters;             \
    void *__wrap_##name parameters              \
    {                                           \
        void *made;                             \
                                                \
        if (inject_fails(INJECT_MEMORY, #name)) \
            return NULL;                        \
        made = __real_##name arguments;         \
        inject_made(made, #name, CALLER);       \
        return made;                            \
    }

WRAP_MADE(malloc, (size_t size), (size))
WRAP_MADE(calloc, (size_t count, size_t size), (count, size))
WRAP_MADE(strdup, (const char *text), (text))
WRAP_MADE(strndup, (const char *text, size_t size), (text, size))

void __real_free(void *block);
void __wrap_free(void *block)
{
    inject_gone(block);
    __real_free(block);
}

void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size)
{
    void *made;

    if (inject_fails(INJECT_MEMORY, "realloc"))
        return NULL;
    /* Another thread may get this address at once. */
    inject_gone(block);
    made = __real_realloc(block, size);
    inject_made(made != NULL ? made : block, "realloc", CALLER);
    return made;
}

__attribute__((format(printf, 2, 3))) int __wrap_asprintf(char **text, const char *format, ...)
{
    va_list arguments;
    int length;

    if (inject_fails(INJECT_MEMORY, "asprintf"))
        return -1;
    va_start(arguments, format);
    length = vasprintf(text, format, arguments);
    va_end(arguments);
    if (length >= 0)
        inject_made(*text, "asprintf", CALLER);
    return length;
}

char *__real_realpath(const char *path, char *resolved);
char *__wrap_realpath(const char *path, char *resolved)
{
    char *made = inject_fails(INJECT_FILE, "realpath") ? NULL : __real_realpath(path, resolved);

    if (resolved == NULL)
        inject_made(made, "realpath", CALLER);
    return made;
}

/* Jansson's allocations count as the root's. */
__attribute__((constructor)) static void take_jansson(void)
{
    json_set_alloc_funcs(__wrap_malloc, __wrap_free);
}

void *__real_mmap64(void *at, size_t length, int rights, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t length, int rights, int flags, int fd, off_t offset)
{
    void *made;

    if (inject_fails(INJECT_MMAP, "mmap"))
        return MAP_FAILED;
    made = __real_mmap64(at, length, rights, flags, fd, offset);
    if (made != MAP_FAILED && !(flags & MAP_FIXED))
        inject_made(made, "mmap", CALLER);
    return made;
}

int __real_munmap(void *at, size_t length);
int __wrap_munmap(void *at, size_t length)
{
    inject_gone(at);
    return __real_munmap(at, length);
}

int __real_ioctl(int fd, unsigned long request, void *argument);
/* A signal does not keep KVM_RUN from what it does first: it ends the instruction that was pending
 * and takes over registers. So does immediate_exit. A vCPU that kicks are not for has no more to do
 * than it began. */
static int interrupted_run(int fd, void *argument)
{
    if (kick_state.running == NULL)
        return -1;
    kick_state.running->immediate_exit = 1;
    return __real_ioctl(fd, KVM_RUN, argument);
}

static enum inject_kind kind_of(unsigned long request)
{
    if (request == KVM_RUN)
        return INJECT_RUN;
    return request == KVM_RESET_DIRTY_RINGS ? INJECT_RESET : INJECT_IOCTL;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    void *argument;
    char name[32];

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    snprintf(name, sizeof(name), "ioctl %#lx", request);
    if (inject_fails(kind_of(request), name))
        return request == KVM_RUN && errno == EINTR ? interrupted_run(fd, argument) : -1;
    return __real_ioctl(fd, request, argument);
}

int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode = 0;

    if (flags & O_CREAT) {
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    return inject_fails(INJECT_FILE, "open") ? -1 : __real_open64(path, flags, mode);
}

WRAP(INJECT_FILE, NULL, FILE *, fopen64, (const char *path, const char *mode), (path, mode))
WRAP(INJECT_FILE, NULL, FILE *, fdopen, (int fd, const char *mode), (fd, mode))
WRAP(INJECT_FILE, -1, int, memfd_create, (const char *name, unsigned int flags), (name, flags))
WRAP(INJECT_FILE, -1, int, ftruncate64, (int fd, off_t length), (fd, length))
WRAP(INJECT_FILE, -1, int, fstat64, (int fd, struct stat *status), (fd, status))
WRAP(INJECT_FILE, -1, ssize_t, read, (int fd, void *to, size_t length), (fd, to, length))
WRAP(INJECT_FILE, -1, ssize_t, pread64, (int fd, void *to, size_t length, off_t at),
     (fd, to, length, at))
WRAP(INJECT_FILE, -1, ssize_t, write, (int fd, const void *from, size_t length), (fd, from, length))
WRAP(INJECT_FILE, -1, int, rename, (const char *from, const char *to), (from, to))
WRAP(INJECT_FILE, -1, int, mkostemp64, (char *name, int flags), (name, flags))
WRAP(INJECT_FILE, -1, int, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(INJECT_FILE, -1, int, fdatasync, (int fd), (fd))
WRAP(INJECT_FILE, -1, int, pipe2, (int *ends, int flags), (ends, flags))
WRAP(INJECT_FILE, EOF, int, fflush, (FILE * file), (file))

/* It closes all the same. */
int __real_fclose(FILE *file);
int __wrap_fclose(FILE *file)
{
    bool fails = inject_fails(INJECT_FILE, "fclose");
    int code = errno;
    int result = __real_fclose(file);

    if (!fails)
        return result;
    errno = code;
    return EOF;
}

/* What a pthread function fails with is what it returns. */
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument)
{
    if (inject_fails(INJECT_THREAD, "pthread_create"))
        return errno;
    return __real_pthread_create(thread, attributes, start, argument);
}

WRAP(INJECT_THREAD, -1, int, timer_create,
     (clockid_t clock, struct sigevent *event, timer_t *timer), (clock, event, timer))

WRAP(INJECT_THREAD, -1, int, socketpair, (int domain, int type, int protocol, int ends[2]),
     (domain, type, protocol, ends))

pid_t __real_fork(void);
pid_t __wrap_fork(void)
{
    if (inject_fails(INJECT_THREAD, "fork"))
        return -1;
    inject_forks();
    return __real_fork();
}

int __real_prctl(int what, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int __wrap_prctl(int what, ...)
{
    unsigned long argument[4];
    va_list arguments;

    va_start(arguments, what);
    for (int i = 0; i < 4; i++)
        argument[i] = va_arg(arguments, unsigned long);
    va_end(arguments);
    if (inject_fails(INJECT_THREAD, "prctl"))
        return -1;
    return __real_prctl(what, argument[0], argument[1], argument[2], argument[3]);
}
