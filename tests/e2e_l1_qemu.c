/* SPDX-License-Identifier: Apache-2.0 */
/* L1 and the firmware where no root hypervisor is: they have to say so and stop by themselves. */
#include "runner.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TEST_SECONDS 60
#define TCG_CPU      "max"

/* isa-debug-exit turns a status into this exit status of QEMU. */
#define QEMU_STATUS(status) ((status) << 1 | 1)

#define NO_ROOT_STATUS      QEMU_STATUS(1)
#define NO_ROOT_LINE        "nested_l1: no root hypervisor is present; this is an L1, start it with mezz\n"
#define NO_ENTRY_STATUS     QEMU_STATUS(1)
#define NO_ENTRY_LINE       "firmware: no kernel: the entry point in the firmware table is 0\n"

static const char *const machines[] = {"pc", "microvm"};
#define MACHINES ELEMENTS(machines)

static char console[1 << 14];

static const char *qemu(void)
{
    const char *program = getenv("MEZZ_QEMU");

    return program ? program : "qemu-system-x86_64";
}

/* option is -kernel or -bios. */
_Noreturn static void exec_qemu(const char *machine, const char *option, const char *image, int out)
{
    char path[4096];
    const char *argv[] = {
        qemu(),
        "-accel",
        "tcg",
        "-cpu",
        TCG_CPU,
        "-M",
        machine,
        "-m",
        "64",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-nodefaults",
        "-no-reboot",
        "-device",
        "isa-debug-exit,iobase=0x501",
        option,
        path,
        NULL,
    };

    snprintf(path, sizeof(path), "%s/%s", getenv("MEZZ_IMAGES"), image);
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    execvp(qemu(), (char **)(uintptr_t)argv);
    _exit(127);
}

static void read_console(int fd, pid_t child)
{
    time_t deadline = time(NULL) + TEST_SECONDS;
    struct pollfd pipe_end = {.fd = fd, .events = POLLIN};
    size_t used = 0;

    for (;;) {
        time_t left = deadline - time(NULL);
        ssize_t got;

        if (left <= 0 || poll(&pipe_end, 1, (int)left * 1000) == 0) {
            kill(child, SIGKILL);
            break;
        }
        got = read(fd, console + used, sizeof(console) - 1 - used);
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    console[used] = '\0';
    close(fd);
}

static void says_and_stops(const char *machine, const char *option, const char *image,
                           const char *line, int expected)
{
    int out[2], status;
    pid_t child;

    ck_assert_int_eq(pipe(out), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        exec_qemu(machine, option, image, out[1]);
    close(out[1]);
    read_console(out[0], child);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "%s on %s: no end within %d s, console:\n%s", image, machine,
                  TEST_SECONDS, console);
    ck_assert_msg(WEXITSTATUS(status) == expected, "%s on %s: exit status %d, console:\n%s", image,
                  machine, WEXITSTATUS(status), console);
    ck_assert_msg(strstr(console, line) != NULL, "%s on %s: the line is missing in:\n%s", image,
                  machine, console);
}

START_TEST(l1_without_root)
{
    says_and_stops(machines[_i], "-kernel", "nested_l1.elf", NO_ROOT_LINE, NO_ROOT_STATUS);
}
END_TEST

START_TEST(firmware_without_kernel)
{
    says_and_stops(machines[_i], "-bios", "firmware.bin", NO_ENTRY_LINE, NO_ENTRY_STATUS);
}
END_TEST

static const char *obstacle(void)
{
    char command[4200];

    if (!getenv("MEZZ_IMAGES"))
        return "MEZZ_IMAGES is not set";
    snprintf(command, sizeof(command), "command -v %.4000s >/dev/null", qemu());
    return system(command) == 0 ? NULL : "no qemu-system-x86_64";
}

RUN_CASES_IF(obstacle, "e2e_l1_qemu", TEST_SECONDS + 10, EACH(l1_without_root, MACHINES),
             EACH(firmware_without_kernel, MACHINES))
