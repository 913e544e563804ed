/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/input_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a directory";
    case S_IFIFO:
        return "a FIFO";
    case S_IFCHR:
    case S_IFBLK:
        return "a device";
    default:
        return "no regular file";
    }
}

static int check_kind(const char *path, const struct stat *status, struct error *error)
{
    if (!S_ISREG(status->st_mode))
        return error_set(error, EINVAL, "%s: is %s", path, kind_of(status->st_mode));
    return 0;
}

static int check_file(struct input_file *file, struct error *error)
{
    struct stat status;
    int code;

    if (fstat(file->fd, &status) < 0)
        return error_set(error, errno, "%s: %s", file->path, strerror(errno));
    code = check_kind(file->path, &status, error);
    if (code)
        return code;
    if (status.st_size <= 0)
        return error_set(error, EINVAL, "%s: is empty", file->path);
    file->size = (uint64_t)status.st_size;
    if (file->size > INPUT_FILE_LIMIT)
        return error_set(error, EINVAL, "%s: has %llu MiB, more than the limit of %llu MiB",
                         file->path, (unsigned long long)(file->size >> 20),
                         INPUT_FILE_LIMIT >> 20);
    return 0;
}

int input_file_open(struct input_file *file, const char *path, struct error *error)
{
    struct stat status;
    int code;

    file->path = path;
    /* Opening a device may already do something, so look first; check_file looks at what was really
     * opened. O_NONBLOCK: a FIFO that took the file's place does not wait for a writer. */
    if (stat(path, &status) < 0)
        return error_set(error, errno, "%s: %s", path, strerror(errno));
    code = check_kind(path, &status, error);
    if (code)
        return code;
    file->fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (file->fd < 0)
        return error_set(error, errno, "%s: %s", path, strerror(errno));
    code = check_file(file, error);
    if (code)
        close(file->fd);
    return code;
}

int input_file_read(const struct input_file *file, void *to, struct error *error)
{
    uint64_t done = 0;
    ssize_t count;

    while (done < file->size) {
        count = pread(file->fd, (uint8_t *)to + done, file->size - done, (off_t)done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_set(error, errno, "%s: %s", file->path, strerror(errno));
        if (count == 0)
            return error_set(error, EINVAL, "%s: became shorter while it was read", file->path);
        done += (uint64_t)count;
    }
    return 0;
}

void input_file_close(struct input_file *file)
{
    close(file->fd);
}
