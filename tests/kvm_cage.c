/* SPDX-License-Identifier: Apache-2.0 */
/* The cage, tried from inside: every way out is tried, and none may be there. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cage/cage.h"
#include "cage_doors.h"
#include "cage_promise.h"
#include "runner.h"
#include "test_machine.h"

#define CALL_NUMBERS 512
#define LAST_CALL    (SYS_landlock_restrict_self + 5)

/* What a process does in the cage; what it returns is the exit status. */
typedef int inhabitant(void *context);

enum {
    DOOR_OPEN = 0,
    DOOR_FAILED = 1,
    NO_CAGE = 2
};

/* /proc/self/status of a process in the cage, which opened it before. */
static int status_file;

static void live_in_cage(bool enter, enum cage_thread kind, inhabitant *live, void *context)
{
    static const int outputs[] = {STDOUT_FILENO};
    const struct cage_config config = {outputs, ELEMENTS(outputs)};
    struct cage *cage;
    struct error error;

    status_file = open("/proc/self/status", O_RDONLY);
    if (cage_create(&cage, &config, &error) != 0 || cage_close(cage, &error) != 0 ||
        (enter && cage_enter(cage, kind, &error) != 0))
        _exit(NO_CAGE);
    syscall(SYS_exit_group, live(context));
}

/* The status that it ended with. */
static int cage_a_process(bool enter, enum cage_thread kind, inhabitant *live, void *context)
{
    int status;
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0)
        live_in_cage(enter, kind, live, context);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

static void was_killed(int status, const char *what)
{
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s: wait status 0x%x", what,
                  (unsigned)status);
}

static int open_door(void *context)
{
    return cage_door_open(context) < 0 ? DOOR_FAILED : DOOR_OPEN;
}

/* Tried by a thread as the first argument of EACH says, in a process without a machine. */
static void try_door(int index, enum cage_thread kind)
{
    const struct cage_door *door = &cage_doors[index];
    int status = cage_a_process(true, kind, open_door, (void *)(uintptr_t)door);

    if (cage_runtime_call(door->number))
        return;
    was_killed(status, door->name);
}

START_TEST(door_of_main)
{
    try_door(_i, CAGE_MAIN);
}
END_TEST

START_TEST(door_of_vcpu)
{
    try_door(_i, CAGE_VCPU);
}
END_TEST

/* The doors are doors: it is the filter that closes them. Those that do no harm. */
START_TEST(doors_without_a_filter)
{
    static const long harmless[] = {SYS_memfd_create, SYS_dup,  SYS_fcntl,    SYS_socketpair,
                                    SYS_stat,         SYS_mmap, SYS_mprotect, SYS_prctl};
    int open = 0;

    for (int i = 0; i < cage_door_count; i++)
        for (size_t j = 0; j < ELEMENTS(harmless); j++) {
            int status;

            if (cage_doors[i].number != harmless[j])
                continue;
            status = cage_a_process(false, CAGE_MAIN, open_door, (void *)(uintptr_t)&cage_doors[i]);
            ck_assert_msg(status == 0, "%s: wait status 0x%x", cage_doors[i].name,
                          (unsigned)status);
            open++;
        }
    ck_assert_int_gt(open, (int)ELEMENTS(harmless));
}
END_TEST

/* Each system call that there is and that the list does not name. */
START_TEST(every_other_call)
{
    int stopped = 0;

    for (long number = 0; number <= LAST_CALL; number++) {
        struct cage_door door = {"by number", number, {-1, -1, -1, -1, -1, -1}};
        int status;
        char text[32];

        /* Newer kernels put these two before any filter. They are for code that the kernel itself
         * placed, and refuse all other. */
        if (number == 335 || number == 336 || cage_runtime_call(number) ||
            cage_promised_call((enum cage_thread)_i, number))
            continue;
        status = cage_a_process(true, (enum cage_thread)_i, open_door, &door);
        snprintf(text, sizeof(text), "system call %ld", number);
        was_killed(status, text);
        stopped++;
    }
    ck_assert_int_gt(stopped, 400);
}
END_TEST

/* Each number that a request of KVM may have, where it takes no argument. Sizes and directions are
 * for the filter alone: cage_promise_check(). */
START_TEST(every_other_request)
{
    int stopped = 0;

    for (unsigned int number = 0; number < 256; number++) {
        struct cage_door door = {"by number", SYS_ioctl, {3, _IO(KVMIO, number)}};
        int status;
        char text[32];

        if (cage_promised_request(_IO(KVMIO, number)))
            continue;
        status = cage_a_process(true, CAGE_VCPU, open_door, &door);
        snprintf(text, sizeof(text), "request %u", number);
        was_killed(status, text);
        stopped++;
    }
    ck_assert_int_gt(stopped, 240);
}
END_TEST

START_TEST(twenty_calls)
{
    bool seen[CALL_NUMBERS] = {false};
    int count = 0;
    const char *name;

    for (int kind = 0; kind < CAGE_THREADS; kind++)
        for (size_t i = 0; (name = cage_call_name((enum cage_thread)kind, i)) != NULL; i++) {
            int number = seccomp_syscall_resolve_name(name);

            ck_assert(cage_promised_call((enum cage_thread)kind, number));
            ck_assert_int_ge(number, 0);
            ck_assert_int_lt(number, CALL_NUMBERS);
            count += !seen[number];
            seen[number] = true;
        }
    ck_assert_int_eq(count, CAGE_PROMISED_CALLS);
    ck_assert(!seen[SYS_execve] && !seen[SYS_openat] && !seen[SYS_socket] && !seen[SYS_read]);
}
END_TEST

static int call_as_32_bits(void *context)
{
    long result = 20; /* getpid there */

    (void)context;
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    return DOOR_OPEN;
}

static int call_as_x32(void *context)
{
    (void)context;
    syscall(0x40000000L | SYS_exit_group, DOOR_OPEN);
    return DOOR_FAILED;
}

/* A kernel that has no calls of 32 bits ends the process, too. */
START_TEST(foreign_call_numbers)
{
    inhabitant *const ways[] = {call_as_32_bits, call_as_x32};
    int status = cage_a_process(true, (enum cage_thread)(_i / 2), ways[_i % 2], NULL);

    ck_assert_msg(WIFSIGNALED(status) &&
                      (WTERMSIG(status) == SIGSYS || (_i % 2 == 0 && WTERMSIG(status) == SIGSEGV)),
                  "0x%x", (unsigned)status);
}
END_TEST

_Noreturn static void live_on(int number)
{
    (void)number;
    syscall(SYS_exit_group, DOOR_FAILED);
    abort();
}

/* Whoever has taken the process over has its handlers of signals, too, or holds the signal back. */
START_TEST(no_handler_saves_it)
{
    static const struct cage_door door = {"openat", SYS_openat, {AT_FDCWD, 0, O_RDONLY}};
    struct sigaction action = {.sa_handler = live_on};
    struct sigaction before;
    sigset_t set;
    int status;

    sigemptyset(&set);
    sigaddset(&set, SIGSYS);
    ck_assert_int_eq(sigaction(SIGSYS, &action, &before), 0);
    if (_i % 2 == 1)
        ck_assert_int_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    status = cage_a_process(true, (enum cage_thread)(_i / 2), open_door, (void *)(uintptr_t)&door);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    sigaction(SIGSYS, &before, NULL);
    if (!cage_runtime_call(door.number))
        was_killed(status, door.name);
}
END_TEST

/* What the first part of the cage does alone. */

static int has_line(const char *text, const char *name, const char *value)
{
    const char *line = strstr(text, name);

    return line != NULL && strncmp(line + strlen(name), value, strlen(value)) == 0;
}

static int look_at_status(void)
{
    static const char *const sets[] = {"\nCapInh:\t", "\nCapPrm:\t", "\nCapEff:\t", "\nCapAmb:\t"};
    char text[8192];
    ssize_t length = read(status_file, text, sizeof(text) - 1);

    if (length <= 0)
        return 3;
    text[length] = '\0';
    for (size_t i = 0; i < ELEMENTS(sets); i++)
        if (!has_line(text, sets[i], "0000000000000000\n"))
            return 4;
    if (geteuid() == 0 && !has_line(text, "\nCapBnd:\t", "0000000000000000\n"))
        return 5;
    return has_line(text, "\nNoNewPrivs:\t", "1\n") ? 0 : 6;
}

static int without_rights(void *context)
{
    (void)context;
    if (sethostname("caged", 5) == 0 || errno != EPERM)
        return 1;
    if (setuid(12345) == 0 || chroot("/") == 0)
        return 2;
    return look_at_status();
}

START_TEST(no_capabilities)
{
    int status = cage_a_process(false, CAGE_MAIN, without_rights, NULL);

    ck_assert_int_eq(status, 0);
}
END_TEST

static int without_core(void *context)
{
    struct rlimit limit;

    (void)context;
    if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_cur != 0 || limit.rlim_max != 0)
        return 1;
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : 2;
}

START_TEST(no_core)
{
    ck_assert_int_eq(cage_a_process(false, CAGE_MAIN, without_core, NULL), 0);
}
END_TEST

static int files_by_path(void *context)
{
    static const char *const paths[] = {"/etc/passwd", "/proc/self/status", "/dev/null", "/", "."};
    struct cage_offer *offer = context;

    for (size_t i = 0; i < ELEMENTS(paths); i++)
        if (open(paths[i], O_RDONLY) >= 0 || errno != EACCES)
            return 3;
    if (open("/tmp/cage-was-here", O_WRONLY | O_CREAT, 0600) >= 0)
        return 4;
    if (offer->landlock_abi >= 4) {
        static const unsigned char address[16] = {AF_INET, 0, 0, 9, 127, 0, 0, 1};
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        /* A machine without any network has no such sockets either. */
        if (fd >= 0 && (syscall(SYS_connect, fd, address, sizeof(address)) == 0 || errno != EACCES))
            return 5;
    }
    if (offer->landlock_abi >= 6 && (kill(getppid(), 0) == 0 || errno != EPERM))
        return 6;
    return 0;
}

START_TEST(no_files_by_landlock)
{
    struct cage_offer offer = cage_offer();
    int status;

    if (offer.landlock_abi == 0)
        return;
    status = cage_a_process(false, CAGE_MAIN, files_by_path, &offer);
    ck_assert_int_eq(status, 0);
}
END_TEST

RUN_CASES_IF(test_machine_obstacle, "cage", 120, EACH(door_of_main, cage_door_count),
             EACH(door_of_vcpu, cage_door_count), ONCE(doors_without_a_filter),
             EACH(every_other_call, CAGE_THREADS), ONCE(every_other_request), ONCE(twenty_calls),
             EACH(foreign_call_numbers, 2 * CAGE_THREADS),
             EACH(no_handler_saves_it, 2 * CAGE_THREADS), ONCE(no_capabilities), ONCE(no_core),
             ONCE(no_files_by_landlock))
