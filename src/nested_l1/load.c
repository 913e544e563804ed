/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's memory. Its image and its modules are mapped where they lie in L1's memory, page by
 * page; only the ends of segments that share a page with something else are copied. All other
 * pages are those of a zeroed block of the arena (the pages of it that nobody touches cost nothing
 * on the host).
 */
#include <stddef.h>

#include "image.h"
#include "l1.h"
#include "lib/machine.h"
#include "lib/text.h"

#define PAGE_MASK (MEZZ_PAGE_SIZE - 1ULL)

static const char no_memory[] = "L1 has not enough memory for it";

static uint64_t page_up(uint64_t address)
{
    return (address + PAGE_MASK) & ~PAGE_MASK;
}

/* Maps up to l2 from the backing, then size bytes at l2 to l1. Addresses ascend from call to call.
 */
static bool map_in_place(struct l2 *guest, uint64_t l2, uint64_t l1, uint64_t size, uint64_t flags)
{
    uint64_t gap = guest->mapped;

    if (!ept_map(&guest->ept, gap, guest->backing + gap, l2 - gap, EPT_ALL_RIGHTS) ||
        !ept_map(&guest->ept, l2, l1, size, flags))
        return false;
    guest->mapped = l2 + size;
    return true;
}

static bool load_segment(struct l2 *guest, const struct image_segment *segment, uint64_t flags)
{
    uint64_t end = segment->gpa + segment->file_size;
    uint64_t first = page_up(segment->gpa);
    uint64_t last = end & ~PAGE_MASK;

    if ((segment->gpa ^ segment->file) & PAGE_MASK || first >= last) {
        copy_bytes(pointer_at(guest->backing + segment->gpa), pointer_at(segment->file),
                   segment->file_size);
        return true;
    }
    copy_bytes(pointer_at(guest->backing + segment->gpa), pointer_at(segment->file),
               first - segment->gpa);
    copy_bytes(pointer_at(guest->backing + last), pointer_at(segment->file + (last - segment->gpa)),
               end - last);
    return map_in_place(guest, first, segment->file + (first - segment->gpa), last - first, flags);
}

/* What L2 finds at the address in EBX, and the strings and lists that it points to. */
struct boot_area {
    struct mezz_pvh_start_info info;
    struct mezz_pvh_memory memory;
    struct mezz_pvh_module module[];
};

static uint64_t string_size(const char *string)
{
    return text_of(string).length + 1;
}

static uint64_t boot_area_size(const struct guest_config *config)
{
    uint64_t size = sizeof(struct boot_area) + string_size(config->command_line);

    for (unsigned int i = 0; i < config->module_count; i++)
        size += sizeof(struct mezz_pvh_module) + string_size(config->module[i].command_line);
    return size;
}

/* Copies a string behind the others; returns its L2-physical address. */
static uint64_t put_string(const struct l2 *guest, uint64_t *at, const char *string)
{
    uint64_t l2 = *at;
    uint64_t size = string_size(string);

    copy_bytes(pointer_at(guest->backing + l2), string, size);
    *at += size;
    return l2;
}

static bool load_modules(struct l2 *guest, const struct guest_config *config,
                         struct boot_area *area, uint64_t strings, uint64_t next)
{
    for (unsigned int i = 0; i < config->module_count; i++) {
        const struct mezz_pvh_module *file = config->module[i].file;
        uint64_t size = page_up(file->size);

        if (size < file->size || size > guest->memory - next)
            return false;
        area->module[i] = (struct mezz_pvh_module){
            .paddr = next,
            .size = file->size,
            .cmdline_paddr = put_string(guest, &strings, config->module[i].command_line),
        };
        if (!map_in_place(guest, next, file->paddr, size, EPT_ALL_RIGHTS))
            return false;
        next += size;
    }
    return true;
}

static const char *load_boot_area(struct l2 *guest, const struct guest_config *config, uint64_t at)
{
    struct boot_area *area = pointer_at(guest->backing + at);
    uint64_t strings = at + sizeof(*area) + config->module_count * sizeof(area->module[0]);
    uint64_t size = page_up(boot_area_size(config));

    if (size > guest->memory - at)
        return "its memory ends before its start info";
    area->memory = (struct mezz_pvh_memory){.size = guest->memory, .type = MEZZ_PVH_MEMORY_RAM};
    area->info = (struct mezz_pvh_start_info){
        .magic = MEZZ_PVH_START_MAGIC,
        .version = MEZZ_PVH_START_VERSION,
        .nr_modules = config->module_count,
        .modlist_paddr = config->module_count ? at + offsetof(struct boot_area, module) : 0,
        .cmdline_paddr = put_string(guest, &strings, config->command_line),
        .memmap_paddr = at + offsetof(struct boot_area, memory),
        .memmap_entries = 1,
    };
    if (!load_modules(guest, config, area, strings, at + size))
        return "its modules do not fit into its memory";
    return NULL;
}

const char *guest_load(struct l1 *l1, struct l2 *l2, const struct guest_config *config,
                       uint64_t *start_info, uint64_t *entry)
{
    struct image image;
    uint64_t flags = l1->config.ept & CONFIG_EPT_COW ? EPT_COPIED_WHEN_WRITTEN : EPT_ALL_RIGHTS;
    const char *wrong = image_read(&image, config->image->paddr, config->image->size, l2->memory);

    if (wrong)
        return wrong;
    l2->backing = arena_take(&l1->arena, l2->memory, EPT_LARGE_SIZE);
    if (!l2->backing || !ept_init(&l2->ept, &l1->arena))
        return no_memory;
    for (unsigned int i = 0; i < image.segment_count; i++)
        if (!load_segment(l2, &image.segment[i], flags))
            return no_memory;
    *start_info = page_up(image.end);
    *entry = image.entry;
    wrong = load_boot_area(l2, config, *start_info);
    if (!wrong && !map_in_place(l2, l2->memory, 0, 0, EPT_ALL_RIGHTS))
        wrong = no_memory;
    return wrong;
}
