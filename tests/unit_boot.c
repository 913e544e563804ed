/* SPDX-License-Identifier: Apache-2.0 */
/* What L1 finds in its memory at its first instruction, and what does not fit there. */
#include "vmm/boot/boot.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "elf_builder.h"
#include "mezz/firmware.h"
#include "mezz/pvh.h"
#include "runner.h"

#define MEMORY_SIZE   (4ULL << 20)
#define MEMORY_OFFSET 0x10000ULL
#define UNTOUCHED     0xcc
#define INFO_ROOM     (BOOT_INFO_END - BOOT_INFO_START)
/* Start info and memory map, which come before the module list and the texts. */
#define INFO_FIXED \
    (sizeof(struct mezz_pvh_start_info) + BOOT_MEMORY_ENTRIES * sizeof(struct mezz_pvh_memory))

static struct memory memory;
static struct l1_memory l1;
static struct elf_file file;
static struct boot_config config;
static struct boot_module modules[BOOT_MODULE_LIMIT + 1];
static struct boot_result result;
static struct error error;

static void setup(void)
{
    ck_assert_int_eq(memory_create(&memory, MEMORY_SIZE + 2 * MEMORY_OFFSET, &error), 0);
    memset(memory.base, UNTOUCHED, memory.size);
    l1 = (struct l1_memory){&memory, MEMORY_OFFSET, MEMORY_SIZE};
    elf_file_init(&file);
    config = (struct boot_config){
        .image = elf_file_path(&file, sizeof(file)),
        .command_line = "personality=callback",
        .modules = modules,
    };
}

static void finish(void)
{
    memory_destroy(&memory);
}

/* A module of `size` bytes with this value. */
static void add_module(size_t size, uint8_t value, const char *command_line)
{
    uint8_t *bytes = malloc(size);

    memset(bytes, value, size);
    modules[config.module_count++] = (struct boot_module){elf_file_path(bytes, size), command_line};
    free(bytes);
}

static bool l1_filled(uint64_t from, uint64_t to, uint8_t value)
{
    const uint8_t *bytes = l1_pointer(&l1, l1_at(from), to - from);

    ck_assert_ptr_nonnull(bytes);
    for (uint64_t i = 0; i < to - from; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

static bool untouched(void)
{
    for (uint64_t i = 0; i < memory.size; i++)
        if (memory.base[i] != UNTOUCHED)
            return false;
    return true;
}

static void load(void)
{
    const int code = boot_load(&result, &config, &l1, &error);

    ck_assert_msg(code == 0, "%s", error.text);
}

static void refused(int code, const char *what)
{
    ck_assert_int_eq(boot_load(&result, &config, &l1, &error), code);
    ck_assert_msg(strstr(error.text, what) != NULL, "\"%s\" is not in \"%s\"", what, error.text);
    ck_assert_msg(untouched(), "%s, but memory was written", error.text);
}

static void read_l1(uint64_t address, void *to, uint64_t length)
{
    ck_assert_uint_ge(address, BOOT_INFO_START);
    ck_assert_uint_le(address + length, BOOT_INFO_END);
    ck_assert_int_eq(l1_read(&l1, l1_at(address), to, length), 0);
}

static struct mezz_pvh_start_info start_info(void)
{
    struct mezz_pvh_start_info start;

    read_l1(result.start_info, &start, sizeof(start));
    ck_assert_uint_eq(start.magic, MEZZ_PVH_START_MAGIC);
    ck_assert_uint_eq(start.version, MEZZ_PVH_START_VERSION);
    ck_assert_uint_eq(start.flags, 0);
    ck_assert_uint_eq(start.rsdp_paddr, 0);
    ck_assert_uint_eq(start.reserved, 0);
    ck_assert_uint_eq(start.nr_modules, config.module_count);
    return start;
}

static void expect_text(uint64_t address, const char *text)
{
    char copy[256];

    read_l1(address, copy, strlen(text) + 1);
    ck_assert_mem_eq(copy, text, strlen(text) + 1);
}

static void expect_memory(uint64_t at, uint64_t address, uint64_t size, uint32_t type)
{
    struct mezz_pvh_memory entry;

    read_l1(at, &entry, sizeof(entry));
    ck_assert_uint_eq(entry.addr, address);
    ck_assert_uint_eq(entry.size, size);
    ck_assert_uint_eq(entry.type, type);
    ck_assert_uint_eq(entry.reserved, 0);
}

START_TEST(image_alone)
{
    struct mezz_pvh_start_info start;

    setup();
    load();
    ck_assert_uint_eq(result.entry, BUILDER_ENTRY);
    ck_assert_uint_eq(result.image_end, BUILDER_END);
    ck_assert_uint_eq(result.modules, MEMORY_SIZE);
    start = start_info();
    ck_assert_uint_eq(start.modlist_paddr, 0);
    expect_text(start.cmdline_paddr, "personality=callback");
    ck_assert_uint_eq(start.memmap_entries, 3);
    expect_memory(start.memmap_paddr, 0, 0x10000, MEZZ_PVH_MEMORY_RESERVED);
    expect_memory(start.memmap_paddr + 24, 0x10000, MEMORY_SIZE - 0x10000, MEZZ_PVH_MEMORY_RAM);
    expect_memory(start.memmap_paddr + 48, MEZZ_FIRMWARE_ADDRESS, MEZZ_FIRMWARE_SIZE,
                  MEZZ_PVH_MEMORY_RESERVED);
    ck_assert(l1_filled(0, BOOT_INFO_START, UNTOUCHED));
    ck_assert(l1_filled(BUILDER_TEXT_AT, BUILDER_TEXT_AT + 512, 0x90));
    ck_assert(l1_filled(BUILDER_END, MEMORY_SIZE, UNTOUCHED));
    finish();
}
END_TEST

START_TEST(no_command_line)
{
    setup();
    config.command_line = NULL;
    load();
    expect_text(start_info().cmdline_paddr, "");
    finish();
}
END_TEST

static void expect_module(unsigned int index, uint64_t address, uint64_t size, uint8_t value,
                          const char *command_line)
{
    const uint64_t end = (address + size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    struct mezz_pvh_module module;

    read_l1(start_info().modlist_paddr + index * sizeof(module), &module, sizeof(module));
    ck_assert_uint_eq(module.paddr, address);
    ck_assert_uint_eq(module.size, size);
    ck_assert_uint_eq(module.reserved, 0);
    if (command_line != NULL)
        expect_text(module.cmdline_paddr, command_line);
    else
        ck_assert_uint_eq(module.cmdline_paddr, 0);
    ck_assert(l1_filled(address, address + size, value));
    ck_assert(l1_filled(address + size, end, 0));
}

/* At the top, page-aligned, in order, padded with zeroes; nothing before or behind is written. */
START_TEST(several_modules)
{
    const uint64_t third = MEMORY_SIZE - PAGE_SIZE;
    const uint64_t second = third - PAGE_SIZE;
    const uint64_t first = second - 3 * PAGE_SIZE;

    setup();
    add_module(2 * PAGE_SIZE + 1, 0x11, "l2=tiny image memory=16777216");
    add_module(PAGE_SIZE, 0x22, NULL);
    add_module(1, 0x33, "");
    load();
    ck_assert_uint_eq(result.modules, first);
    expect_module(0, first, 2 * PAGE_SIZE + 1, 0x11, "l2=tiny image memory=16777216");
    expect_module(1, second, PAGE_SIZE, 0x22, NULL);
    expect_module(2, third, 1, 0x33, "");
    ck_assert(l1_filled(BUILDER_END, first, UNTOUCHED));
    for (uint64_t i = 0; i < MEMORY_OFFSET; i++)
        ck_assert(memory.base[i] == UNTOUCHED &&
                  memory.base[MEMORY_OFFSET + MEMORY_SIZE + i] == UNTOUCHED);
    finish();
}
END_TEST

/* The modules may reach down to the image's end, and not a page further. */
START_TEST(modules_against_the_image)
{
    setup();
    add_module(MEMORY_SIZE - BUILDER_END, 0x44, NULL);
    load();
    ck_assert_uint_eq(result.modules, BUILDER_END);
    expect_module(0, BUILDER_END, MEMORY_SIZE - BUILDER_END, 0x44, NULL);
    memset(memory.base, UNTOUCHED, memory.size);
    add_module(1, 0x55, NULL);
    refused(-EINVAL, "memory: L1 has 4096 KiB and needs at least 6 MiB: 2052 KiB up to the end of "
                     "the image /proc/self/fd/");
    ck_assert_ptr_nonnull(strstr(error.text, ", 2048 KiB for 2 modules"));
    finish();
}
END_TEST

START_TEST(image_past_memory)
{
    setup();
    l1.size = BUILDER_DATA_AT;
    refused(-EINVAL, "segment 2: [0x200000, 0x201000) is outside the memory of 2048 KiB");
    finish();
}
END_TEST

static const uint64_t bad_sizes[] = {
    0, 1, PAGE_SIZE, BOOT_INFO_END, (4U << 20) - 1, BOOT_MEMORY_LIMIT + PAGE_SIZE, UINT64_MAX};

START_TEST(memory_sizes)
{
    setup();
    l1.size = bad_sizes[_i];
    refused(-EINVAL, "memory: ");
    finish();
}
END_TEST

START_TEST(bad_files)
{
    setup();
    config.image = "/nonexistent/l1.elf";
    refused(-ENOENT, "/nonexistent/l1.elf: No such file or directory");
    config.image = elf_file_path("rubbish", 7);
    refused(-EINVAL, "is no ELF file");
    config.image = elf_file_path(&file, sizeof(file));
    add_module(10, 0, NULL);
    modules[1].path = "/nonexistent/hello.elf";
    config.module_count = 2;
    refused(-ENOENT, "module 1: /nonexistent/hello.elf: No such file or directory");
    modules[1].path = elf_file_sparse(0);
    refused(-EINVAL, "is empty");
    modules[1].path = "/dev/zero";
    refused(-EINVAL, "module 1: /dev/zero: is a device");
    modules[1].path = "/tmp";
    refused(-EINVAL, "module 1: /tmp: is a directory");
    finish();
}
END_TEST

START_TEST(too_large_together)
{
    setup();
    for (; config.module_count < 7; config.module_count++)
        modules[config.module_count] = (struct boot_module){elf_file_sparse(256U << 20), NULL};
    config.image = elf_file_path(&file, sizeof(file));
    refused(-EINVAL, "needs at least 1796 MiB");
    finish();
}
END_TEST

/* Fills the boot information area to its last byte. */
START_TEST(command_line_room)
{
    const size_t longest = INFO_ROOM - INFO_FIXED - 1;
    char *text = malloc(longest + 2);
    uint8_t last[2];

    setup();
    memset(text, 'x', longest + 1);
    text[longest] = '\0';
    config.command_line = text;
    load();
    read_l1(BOOT_INFO_END - 2, last, 2);
    ck_assert(last[0] == 'x' && last[1] == '\0');
    ck_assert(l1_filled(BOOT_INFO_END, BUILDER_TEXT_AT, UNTOUCHED));
    memset(memory.base, UNTOUCHED, memory.size);
    text[longest] = 'x';
    text[longest + 1] = '\0';
    refused(-EINVAL, "the command line: no room in the boot information area of 60 KiB");
    free(text);
    finish();
}
END_TEST

START_TEST(module_command_line_room)
{
    const size_t longest = INFO_ROOM - INFO_FIXED - sizeof(struct mezz_pvh_module) - 2;
    char *text = malloc(longest + 2);

    setup();
    memset(text, 'y', longest + 1);
    text[longest] = '\0';
    config.command_line = "";
    add_module(1, 1, text);
    load();
    ck_assert(l1_filled(BOOT_INFO_END, BUILDER_TEXT_AT, UNTOUCHED));
    memset(memory.base, UNTOUCHED, memory.size);
    text[longest] = 'y';
    text[longest + 1] = '\0';
    refused(-EINVAL, "module 0 (/proc/self/fd/");
    ck_assert_ptr_nonnull(strstr(error.text, "the command line: no room"));
    free(text);
    finish();
}
END_TEST

START_TEST(many_modules)
{
    setup();
    add_module(1, 0x66, "m");
    for (unsigned int i = 1; i <= BOOT_MODULE_LIMIT; i++)
        modules[i] = modules[0];
    config.module_count = BOOT_MODULE_LIMIT + 1;
    refused(-EINVAL, "513 modules are more than the limit of 512");
    config.module_count = 400;
    load();
    expect_module(399, MEMORY_SIZE - PAGE_SIZE, 1, 0x66, "m");
    expect_module(0, MEMORY_SIZE - 400 * PAGE_SIZE, 1, 0x66, "m");
    finish();
}
END_TEST

RUN_CASES("boot", 60, ONCE(image_alone), ONCE(no_command_line), ONCE(several_modules),
          ONCE(modules_against_the_image), ONCE(image_past_memory),
          EACH(memory_sizes, ELEMENTS(bad_sizes)), ONCE(bad_files), ONCE(too_large_together),
          ONCE(command_line_room), ONCE(module_command_line_room), ONCE(many_modules))
