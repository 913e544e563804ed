/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_BOOT_H
#define VMM_BOOT_H

#include <stdint.h>

#include "host/error.h"
#include "host/memory.h"
#include "vmm/boot/elf_image.h"

/*
 * What L1 finds in its memory at the first instruction: its image, the start info of PVH
 * (mezz/pvh.h, version 1) and its modules.
 *
 *   0x0         reserved; free for the firmware
 *   0x1000      struct mezz_pvh_start_info, memory map, module list, command lines
 *   0x10000     the image's segments, wherever they ask to be from here on
 *   ...         free
 *   modules     page-aligned, in the order of the list, the last one ends at the top; what is left
 *               of a module's last page is zero
 *
 * The memory map says: [0, 64 KiB) reserved, [64 KiB, size of L1's memory) RAM, and 64 KiB reserved
 * for the firmware below 4 GiB. As on any PVH machine the image and the modules lie in RAM: the
 * kernel leaves out what its symbols and the module list name.
 */
#define BOOT_INFO_START     0x1000ULL
#define BOOT_INFO_END       ELF_IMAGE_LOWEST
#define BOOT_MODULE_LIMIT   512U /* more do not fit into the boot info area with their texts */
#define BOOT_MEMORY_LIMIT   (2ULL << 30)
#define BOOT_MEMORY_ENTRIES 3U

struct boot_module {
    const char *path;
    const char *command_line; /* NULL: none */
};

struct boot_config {
    const char *image;
    const char *command_line; /* NULL: "" */
    const struct boot_module *modules;
    unsigned int module_count;
};

struct boot_result {
    uint32_t entry;      /* physical: EIP at the PVH entry */
    uint32_t start_info; /* physical: EBX at the PVH entry */
    uint64_t image_end;  /* behind the image's highest byte */
    uint64_t modules;    /* where the modules start; the size of the memory if there are none */
};

/* Every file is opened, every size and address is computed and checked before the first byte is
 * written. Errors: those of elf_image.h and input_file.h; -EINVAL with what did not fit and how
 * much memory L1 needs. When a module's file changes while it is read, the memory's content is
 * undefined and the error says so. */
int boot_load(struct boot_result *result, const struct boot_config *config,
              const struct l1_memory *l1, struct error *error);

#endif
