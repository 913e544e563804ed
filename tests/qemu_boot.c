/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE 1 /* memfd_create */
#include "qemu_boot.h"

#include <check.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* isa-debug-exit turns a status into this exit status of QEMU. */
#define QEMU_STATUS(status) ((status) << 1 | 1)

static const char *images;
static const char *qemu = "qemu-system-x86_64";

struct file archive, image;
char console[1 << 16];

void load(const char *name)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s", images, name);
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "%s: %s", path, strerror(errno));
    image.size = fread(image.bytes, 1, sizeof(image.bytes), f);
    fclose(f);
    ck_assert_msg(image.size > sizeof(Elf64_Ehdr) && image.size < TEST_FILE_MAX, "%s", path);
}

static void append(const void *bytes, size_t n)
{
    size_t padded = (n + 3) & ~(size_t)3;

    ck_assert(archive.size + padded <= TEST_FILE_MAX);
    memset(archive.bytes + archive.size, 0, padded);
    memcpy(archive.bytes + archive.size, bytes, n);
    archive.size += padded;
}

/* Adds the loaded image (or what a test made of it) under a name, which may have arguments. */
void add_as(const char *name)
{
    char header[111 + 256];
    int n = snprintf(
        header, sizeof(header), "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s", 1,
        0100644, 0, 0, 1, 0, (unsigned)image.size, 0, 0, 0, 0, (unsigned)strlen(name) + 1, 0, name);

    append(header, (size_t)n + 1);
    append(image.bytes, image.size);
}

void add(const char *name)
{
    load(name);
    add_as(name);
}

void add_trailer(void)
{
    image.size = 0;
    add_as("TRAILER!!!");
}

static int memory_file(const struct file *file)
{
    int fd = memfd_create("module", 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, file->bytes, file->size), (ssize_t)file->size);
    return fd;
}

_Noreturn static void exec_qemu(const struct qemu_machine *machine, const char *command_line,
                                int module, int out)
{
    char path[4096], initrd[64];
    const char *argv[32] = {
        qemu,
        "-accel",
        "tcg",
        "-cpu",
        machine->cpu,
        "-M",
        machine->machine,
        "-m",
        "64",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-nodefaults",
        "-device",
        "isa-debug-exit,iobase=0x501",
        "-no-reboot",
        machine->option,
        path,
    };
    unsigned int words = 19;

    snprintf(path, sizeof(path), "%s/%s", images, machine->image);
    if (command_line != NULL) {
        argv[words++] = "-append";
        argv[words++] = command_line;
    }
    if (module >= 0) {
        snprintf(initrd, sizeof(initrd), "/proc/self/fd/%d", module);
        argv[words++] = "-initrd";
        argv[words++] = initrd;
    }
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    execvp(qemu, (char **)(uintptr_t)argv);
    _exit(127);
}

static void read_console(int fd, pid_t child)
{
    time_t deadline = time(NULL) + TEST_SECONDS;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    size_t used = 0;

    for (;;) {
        time_t left = deadline - time(NULL);
        if (left <= 0 || poll(&p, 1, (int)left * 1000) == 0) {
            kill(child, SIGKILL);
            break;
        }
        ssize_t n = read(fd, console + used, sizeof(console) - 1 - used);
        if (n <= 0) {
            break;
        }
        used += (size_t)n;
    }
    console[used] = '\0';
    close(fd);
}

/* Returns QEMU's exit status; fills the console. */
static int boot(const struct qemu_machine *machine, const char *command_line,
                const struct file *module)
{
    int out[2], status, fd = module ? memory_file(module) : -1;

    ck_assert_int_eq(pipe(out), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        exec_qemu(machine, command_line, fd, out[1]);
    }
    close(out[1]);
    read_console(out[0], child);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (fd >= 0) {
        close(fd);
    }
    ck_assert_msg(WIFEXITED(status), "no end within %d s, console:\n%s", TEST_SECONDS, console);
    return WEXITSTATUS(status);
}

void boots_on(const struct qemu_machine *machine, const char *command_line,
              const struct file *module, int status)
{
    int result = boot(machine, command_line, module);

    archive.size = 0;
    ck_assert_msg(result == QEMU_STATUS(status), "%s on %s: exit status %d, console:\n%s",
                  machine->image, machine->machine, result, console);
}

void boots(const char *command_line, const struct file *module, int status)
{
    static const struct qemu_machine pc = {"pc", "max", "-kernel", "tiny-os.elf"};

    boots_on(&pc, command_line, module, status);
}

const char *found(const char *text)
{
    const char *at = strstr(console, text);

    ck_assert_msg(at != NULL, "\"%s\" is missing in:\n%s", text, console);
    return at;
}

void in_order(const char *first, const char *second)
{
    ck_assert_msg(found(first) < found(second), "\"%s\" is not before \"%s\" in:\n%s", first,
                  second, console);
}

const char *boot_obstacle(void)
{
    char command[4200];

    if (getenv("MEZZ_QEMU")) {
        qemu = getenv("MEZZ_QEMU");
    }
    images = getenv("MEZZ_IMAGES");
    if (!images) {
        return "MEZZ_IMAGES is not set";
    }
    snprintf(command, sizeof(command), "command -v %.4000s >/dev/null", qemu);
    return system(command) == 0 ? NULL : "no qemu-system-x86_64";
}
