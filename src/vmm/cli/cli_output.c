/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/cli_output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *path, struct error *error)
{
    int code = errno;

    return error_set(error, code, "%s: cannot write: %s", path, strerror(code));
}

/* The directory of path, into a buffer of PATH_MAX. */
static const char *directory_of(const char *path, char *buffer)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return ".";
    snprintf(buffer, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    return buffer;
}

/* What is not a regular file (a device, a pipe) is written to and never replaced. */
static bool is_special(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

int output_check(const char *path, struct error *error)
{
    char directory[PATH_MAX];
    struct stat status;

    if (strcmp(path, "-") == 0)
        return 0;
    if (path[0] == '\0' || strlen(path) >= PATH_MAX - sizeof(".XXXXXX"))
        return error_set(error, EINVAL, "\"%.64s\" is not a file name", path);
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return error_set(error, EISDIR, "%s: cannot write: %s", path, strerror(EISDIR));
    if (access(path, F_OK) == 0 && access(path, W_OK) != 0)
        return fail(path, error);
    if (!is_special(path) && access(directory_of(path, directory), W_OK | X_OK) != 0)
        return fail(path, error);
    return 0;
}

static int write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, text, length);

        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0) {
            text += written;
            length -= (size_t)written;
        }
    }
    return 0;
}

static int write_special(const char *path, const char *text, size_t length, struct error *error)
{
    /* A pipe without a reader is an error and not a wait. */
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int code;

    if (fd < 0)
        return fail(path, error);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    code = write_all(fd, text, length);
    if (close(fd) < 0 && code == 0)
        code = -errno;
    if (code != 0)
        return error_set(error, -code, "%s: cannot write: %s", path, strerror(-code));
    return 0;
}

/* As open(2) would have made it, which mkstemp does not. */
static int set_usual_mode(int fd)
{
    mode_t mask = umask(0);

    umask(mask);
    return fchmod(fd, 0666 & ~mask);
}

static int write_file(const char *path, const char *text, size_t length, struct error *error)
{
    char beside[PATH_MAX];
    int code;
    int fd;

    snprintf(beside, sizeof(beside), "%s.XXXXXX", path);
    fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0)
        return fail(path, error);
    code = write_all(fd, text, length);
    if (code == 0 && set_usual_mode(fd) < 0)
        code = -errno;
    if (close(fd) < 0 && code == 0)
        code = -errno;
    if (code == 0 && rename(beside, path) < 0)
        code = -errno;
    if (code == 0)
        return 0;
    unlink(beside);
    return error_set(error, -code, "%s: cannot write: %s", path, strerror(-code));
}

int output_write(const char *path, const char *text, size_t length, struct error *error)
{
    int code;

    if (strcmp(path, "-") != 0)
        return is_special(path) ? write_special(path, text, length, error)
                                : write_file(path, text, length, error);
    code = fflush(stdout) == 0 ? write_all(STDOUT_FILENO, text, length) : -errno;
    if (code != 0)
        return error_set(error, -code, "the standard output: cannot write: %s", strerror(-code));
    return 0;
}
