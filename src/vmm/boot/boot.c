/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/boot.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mezz/firmware.h"
#include "mezz/pvh.h"
#include "vmm/boot/input_file.h"

#define KIB(bytes) ((unsigned long long)(((bytes) + 1023) >> 10))
/* MiB, in steps of 2 MiB, in which memory is given to an L1. */
#define MEMORY_STEPS(bytes) ((unsigned long long)(((bytes) + LARGE_PAGE_SIZE - 1) >> 21) * 2)

/* Everything that will be written, before anything is. */
struct plan {
    const struct boot_config *config;
    const struct l1_memory *l1;
    struct error *error;
    struct elf_image image;
    bool has_image;
    struct input_file *file; /* one for each module */
    struct mezz_pvh_module *module;
    unsigned int opened;
    uint64_t modules_start;
    uint8_t *info; /* the bytes of [BOOT_INFO_START, BOOT_INFO_START + info_used) */
    uint64_t info_used;
};

static uint64_t whole_pages(uint64_t bytes)
{
    return (bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

static int check_memory(const struct plan *plan)
{
    if (plan->l1->size % PAGE_SIZE != 0 || plan->l1->size <= BOOT_INFO_END ||
        plan->l1->size > BOOT_MEMORY_LIMIT)
        return error_set(plan->error, EINVAL,
                         "memory: %llu bytes for L1: whole pages, more than 64 KiB and at most 2 "
                         "GiB are needed",
                         (unsigned long long)plan->l1->size);
    if (plan->config->module_count > BOOT_MODULE_LIMIT)
        return error_set(plan->error, EINVAL, "%u modules are more than the limit of %u",
                         plan->config->module_count, BOOT_MODULE_LIMIT);
    return 0;
}

static int open_modules(struct plan *plan, uint64_t *total)
{
    const unsigned int count = plan->config->module_count;
    int code;

    *total = 0;
    if (count == 0)
        return 0;
    plan->file = calloc(count, sizeof(*plan->file));
    plan->module = calloc(count, sizeof(*plan->module));
    if (plan->file == NULL || plan->module == NULL)
        return error_set(plan->error, ENOMEM, "no memory for the list of %u modules", count);
    for (; plan->opened < count; plan->opened++) {
        struct input_file *file = &plan->file[plan->opened];

        code = input_file_open(file, plan->config->modules[plan->opened].path, plan->error);
        if (code)
            return error_prefix(plan->error, code, "module %u", plan->opened);
        plan->module[plan->opened].size = file->size;
        *total += whole_pages(file->size); /* at most 512 * 256 MiB */
    }
    return 0;
}

/* Where the modules go, when they and the image fit. */
static int place_modules(struct plan *plan, uint64_t total)
{
    const uint64_t image = whole_pages(plan->image.end);
    uint64_t address;

    if (image + total > plan->l1->size)
        return error_set(plan->error, EINVAL,
                         "memory: L1 has %llu KiB and needs at least %llu MiB: %llu KiB up to the "
                         "end of the image %s, %llu KiB for %u modules",
                         KIB(plan->l1->size), MEMORY_STEPS(image + total), KIB(image),
                         plan->config->image, KIB(total), plan->config->module_count);
    plan->modules_start = plan->l1->size - total;
    address = plan->modules_start;
    for (unsigned int i = 0; i < plan->config->module_count; i++) {
        plan->module[i].paddr = address;
        address += whole_pages(plan->module[i].size);
    }
    return 0;
}

/* Takes `length` bytes of the boot info area. Returns their address, or 0 when they do not fit. */
static uint64_t put(struct plan *plan, const void *from, uint64_t length)
{
    const uint64_t room = BOOT_INFO_END - BOOT_INFO_START - plan->info_used;
    const uint64_t address = BOOT_INFO_START + plan->info_used;

    if (length > room)
        return 0;
    if (length)
        memcpy(plan->info + plan->info_used, from, length);
    /* The structures want 8; what follows a text is again a text or nothing. */
    plan->info_used += length;
    return address;
}

static int no_room(const struct plan *plan, const char *what)
{
    return error_set(plan->error, EINVAL, "%s: no room in the boot information area of %llu KiB",
                     what, KIB(BOOT_INFO_END - BOOT_INFO_START));
}

/* The texts are put behind all structures, so the module list is written twice: its place is taken
 * first, and it is filled in when the addresses of the texts are known. */
static int put_texts(struct plan *plan, struct mezz_pvh_start_info *start)
{
    const struct boot_config *config = plan->config;
    const char *text = config->command_line ? config->command_line : "";

    start->cmdline_paddr = put(plan, text, strlen(text) + 1);
    if (start->cmdline_paddr == 0)
        return no_room(plan, "the command line");
    for (unsigned int i = 0; i < config->module_count; i++) {
        text = config->modules[i].command_line;
        if (text == NULL)
            continue;
        plan->module[i].cmdline_paddr = put(plan, text, strlen(text) + 1);
        if (plan->module[i].cmdline_paddr == 0)
            return error_prefix(plan->error, no_room(plan, "the command line"), "module %u (%s)", i,
                                config->modules[i].path);
    }
    return 0;
}

static int build_info(struct plan *plan)
{
    const struct mezz_pvh_memory map[BOOT_MEMORY_ENTRIES] = {
        {.addr = 0, .size = BOOT_INFO_END, .type = MEZZ_PVH_MEMORY_RESERVED},
        {.addr = BOOT_INFO_END,
         .size = plan->l1->size - BOOT_INFO_END,
         .type = MEZZ_PVH_MEMORY_RAM},
        {.addr = MEZZ_FIRMWARE_ADDRESS,
         .size = MEZZ_FIRMWARE_SIZE,
         .type = MEZZ_PVH_MEMORY_RESERVED},
    };
    struct mezz_pvh_start_info start = {.magic = MEZZ_PVH_START_MAGIC,
                                        .version = MEZZ_PVH_START_VERSION,
                                        .nr_modules = plan->config->module_count,
                                        .memmap_entries = BOOT_MEMORY_ENTRIES};
    const uint64_t list = plan->config->module_count * sizeof(*plan->module);
    int code;

    plan->info = calloc(1, BOOT_INFO_END - BOOT_INFO_START);
    if (plan->info == NULL)
        return error_set(plan->error, ENOMEM, "no memory for the boot information");
    put(plan, &start, sizeof(start));
    start.memmap_paddr = put(plan, map, sizeof(map));
    if (list) {
        start.modlist_paddr = put(plan, plan->module, list);
        if (start.modlist_paddr == 0)
            return no_room(plan, "the module list");
    }
    code = put_texts(plan, &start);
    if (code)
        return code;
    memcpy(plan->info, &start, sizeof(start));
    if (list)
        memcpy(plan->info + (start.modlist_paddr - BOOT_INFO_START), plan->module, list);
    return 0;
}

/* Only the reading of a module can still fail here. */
static int commit(const struct plan *plan)
{
    int code = elf_image_load(&plan->image, plan->l1, plan->error);

    for (unsigned int i = 0; i < plan->config->module_count && code == 0; i++) {
        const struct mezz_pvh_module *module = &plan->module[i];
        const uint64_t length = whole_pages(module->size);
        uint8_t *to = l1_pointer(plan->l1, l1_at(module->paddr), length);

        code = input_file_read(&plan->file[i], to, plan->error);
        if (code)
            return error_prefix(plan->error, code, "module %u", i);
        memset(to + module->size, 0, length - module->size);
    }
    if (code == 0)
        code = l1_write(plan->l1, l1_at(BOOT_INFO_START), plan->info, plan->info_used);
    return code;
}

static int make_plan(struct plan *plan)
{
    uint64_t total;
    int code;

    code = check_memory(plan);
    if (code)
        return code;
    code = elf_image_open(&plan->image, plan->config->image, plan->error);
    if (code)
        return code;
    plan->has_image = true;
    code = elf_image_fits(&plan->image, plan->l1->size, plan->error);
    if (code)
        return code;
    code = open_modules(plan, &total);
    if (code == 0)
        code = place_modules(plan, total);
    if (code == 0)
        code = build_info(plan);
    return code;
}

static void destroy_plan(struct plan *plan)
{
    free(plan->info);
    while (plan->opened > 0)
        input_file_close(&plan->file[--plan->opened]);
    free(plan->module);
    free(plan->file);
    if (plan->has_image)
        elf_image_close(&plan->image);
}

int boot_load(struct boot_result *result, const struct boot_config *config,
              const struct l1_memory *l1, struct error *error)
{
    struct plan plan = {.config = config, .l1 = l1, .error = error};
    int code;

    code = make_plan(&plan);
    if (code == 0)
        code = commit(&plan);
    if (code == 0)
        *result = (struct boot_result){.entry = plan.image.entry,
                                       .start_info = BOOT_INFO_START,
                                       .image_end = plan.image.end,
                                       .modules = plan.modules_start};
    destroy_plan(&plan);
    return code;
}
