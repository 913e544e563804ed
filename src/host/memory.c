/* SPDX-License-Identifier: Apache-2.0 */
#include "host/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int memory_create(struct memory *memory, uint64_t size, struct error *error)
{
    int code;

    if (size == 0 || size % PAGE_SIZE != 0 || size > INT64_MAX)
        return error_set(error, EINVAL, "%llu bytes are no size for a memory",
                         (unsigned long long)size);
    memory->size = size;
    memory->fd = memfd_create("mezz-memory", MFD_CLOEXEC);
    if (memory->fd < 0)
        return error_set(error, ENOMEM, "memfd_create: %s", strerror(errno));
    if (ftruncate(memory->fd, (off_t)size) < 0) {
        code = error_set(error, ENOMEM, "memory of %llu MiB: %s", (unsigned long long)(size >> 20),
                         strerror(errno));
        goto close_fd;
    }
    memory->base =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory->fd, 0);
    if (memory->base == MAP_FAILED) {
        code = error_set(error, ENOMEM, "memory of %llu MiB: mmap: %s",
                         (unsigned long long)(size >> 20), strerror(errno));
        goto close_fd;
    }
    return 0;

close_fd:
    close(memory->fd);
    return code;
}

int memory_create_unnamed(struct memory *memory, uint64_t size, struct error *error)
{
    memory->size = size;
    memory->fd = -1;
    memory->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory->base == MAP_FAILED)
        return error_set(error, errno, "mmap of %llu KiB: %s", (unsigned long long)(size >> 10),
                         strerror(errno));
    return 0;
}

void memory_destroy(struct memory *memory)
{
    munmap(memory->base, memory->size);
    if (memory->fd >= 0)
        close(memory->fd);
}

int l1_read(const struct l1_memory *l1, l1_address address, void *to, uint64_t length)
{
    const void *from = l1_pointer(l1, address, length);

    if (from == NULL)
        return -EFAULT;
    memcpy(to, from, length);
    return 0;
}

int l1_write(const struct l1_memory *l1, l1_address address, const void *from, uint64_t length)
{
    void *to = l1_pointer(l1, address, length);

    if (to == NULL)
        return -EFAULT;
    memcpy(to, from, length);
    return 0;
}
