/* SPDX-License-Identifier: Apache-2.0 */
/* From the start info to the first process. */
#include "abi/calls.h"
#include "kernel/console.h"
#include "kernel/hostile.h"
#include "kernel/image.h"
#include "kernel/layout.h"
#include "kernel/memory.h"
#include "kernel/process.h"
#include "kernel/timer.h"
#include "mezz/pvh.h"

#include <stddef.h>

#define COMMAND_LINE_MAX 1024

void kernel_main(uint32_t start_info);

extern uint64_t kernel_pml4[512];

static struct image images[IMAGE_MAX];
static unsigned n_images;

static struct {
    bool quiet;
    bool tick; /* given: start the timer in any case */
} options;

/* Everything that the start info points at is memory of this machine, or the machine is unusable.
 */
static void *must_have(uint64_t paddr, uint64_t size)
{
    void *p = physical(paddr, size);

    if (!p) {
        panic("the start info points beyond 4 GiB", NULL);
    }
    return p;
}

static const char *string_at(uint64_t paddr, uint64_t max)
{
    const char *s = paddr ? must_have(paddr, max) : "";

    if (paddr) {
        uint64_t n = 0;
        while (n < max && s[n]) {
            n++;
        }
        if (n == max) {
            panic("a command line does not end", NULL);
        }
        memory_reserve(paddr, n + 1);
    }
    return s;
}

/* If the text starts with the word, what follows it; else NULL. */
static const char *after(const char *text, const char *word)
{
    while (*word) {
        if (*text++ != *word++) {
            return NULL;
        }
    }
    return text;
}

static const char *parse_option(const char *text)
{
    const char *rest = after(text, "quiet");

    if (rest && (*rest == ' ' || !*rest)) {
        options.quiet = true;
        return rest;
    }
    rest = after(text, "hostile");
    if (rest && (*rest == ' ' || !*rest)) {
        hostile_allow();
        return rest;
    }
    rest = after(text, "tick=");
    if (rest && *rest >= '0' && *rest <= '9') {
        unsigned ms = 0;
        for (; *rest >= '0' && *rest <= '9'; rest++) {
            ms = ms > TICK_MS_MAX ? ms : ms * 10 + (unsigned)(*rest - '0');
        }
        if (*rest == ' ' || !*rest) {
            timer_set_period(ms);
            options.tick = true;
            return rest;
        }
    }
    const char *end = text;
    while (*end && *end != ' ') {
        end++;
    }
    print("tiny-os: unknown option: ");
    console_write(text, (uint64_t)(end - text));
    print("\n");
    return end;
}

static void parse_options(const char *text)
{
    while (*text) {
        if (*text == ' ') {
            text++;
        } else {
            text = parse_option(text);
        }
    }
}

static void take_modules(const struct mezz_pvh_module *module, unsigned n)
{
    for (; n; n--, module++) {
        struct image image = {
            .bytes = must_have(module->paddr, module->size),
            .paddr = module->paddr,
            .size = module->size,
            .command = string_at(module->cmdline_paddr, IMAGE_COMMAND_MAX),
        };

        memory_reserve(module->paddr, module->size);
        if (!archive_open(&image, images, &n_images)) {
            if (!*image.command) {
                image.command = "program"; /* QEMU gives its one module no name */
            }
            images[n_images++] = image;
        }
        if (n_images == IMAGE_MAX) { /* of more, the memory would be taken for free */
            panic("too many modules", NULL);
        }
    }
}

/* What is mapped into every process comes first: by the addresses that it is linked for. */
static const struct {
    uint64_t start, end;
    const char *(*take)(const struct image *image);
} mapped[] = {{TINY_API_START, TINY_API_END, process_set_api},
              {TINY_AGENT_START, TINY_AGENT_END, process_set_agent}};

#define MAPPED (sizeof(mapped) / sizeof(mapped[0]))

static unsigned role_of(const struct image *image)
{
    uint64_t start = image_start(image);
    unsigned i = 0;

    while (i < MAPPED && (start < mapped[i].start || start >= mapped[i].end)) {
        i++;
    }
    return i;
}

static void load_programs(void)
{
    for (unsigned pass = 0; pass <= MAPPED; pass++) {
        for (unsigned i = 0; i < n_images; i++) {
            const char *why = NULL;

            if (role_of(&images[i]) != pass) {
                continue;
            }
            why = pass < MAPPED ? mapped[pass].take(&images[i]) : process_create(&images[i]);
            if (why) {
                print("tiny-os: %s: not loaded: %s\n", images[i].command, why);
            }
        }
    }
}

void kernel_main(uint32_t start_info)
{
    const struct mezz_pvh_start_info *info;

    kernel_pml4[0] = 0;
    console_init();
    timer_init();
    info = must_have(start_info, sizeof(*info));
    if (info->magic != MEZZ_PVH_START_MAGIC || info->version < 1 || !info->memmap_entries) {
        panic("no PVH start info with a memory map", NULL);
    }
    memory_reserve(start_info, sizeof(*info));
    parse_options(string_at(info->cmdline_paddr, COMMAND_LINE_MAX));

    uint64_t map_size = (uint64_t)info->memmap_entries * sizeof(struct mezz_pvh_memory);
    uint64_t list_size = (uint64_t)info->nr_modules * sizeof(struct mezz_pvh_module);
    const struct mezz_pvh_memory *map = must_have(info->memmap_paddr, map_size);
    memory_reserve(info->memmap_paddr, map_size);
    memory_reserve(info->modlist_paddr, list_size);
    take_modules(must_have(info->modlist_paddr, list_size), info->nr_modules);
    memory_init(map, info->memmap_entries);

    load_programs();
    if (!process_count()) {
        print("tiny-os: no program to run\n");
        power_off(STATUS_NOTHING);
    }
    if (options.tick || process_count() > 1) {
        timer_start();
    }
    if (!options.quiet) {
        print("tiny-os: programs: %u\n", process_count());
    }
    process_run();
}
