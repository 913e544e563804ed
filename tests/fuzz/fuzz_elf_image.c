/* SPDX-License-Identifier: Apache-2.0 */
/* The ELF loader on a file that is the input: what it accepts must fit, and load, without a stray
 * write. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/boot/elf_image.h"

#define L1_SIZE (4ULL << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct memory memory;
    struct l1_memory l1 = {.memory = &memory, .size = L1_SIZE};
    struct elf_image image;
    struct error error;
    char path[64];
    int fd = memfd_create("image", MFD_CLOEXEC);

    if (memory.base == NULL && memory_create(&memory, L1_SIZE, &error) != 0)
        abort();
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (elf_image_open(&image, path, &error) == 0) {
        if (elf_image_fits(&image, L1_SIZE, &error) == 0 &&
            elf_image_load(&image, &l1, &error) != 0)
            abort();
        elf_image_close(&image);
    }
    close(fd);
    return 0;
}
