/* SPDX-License-Identifier: Apache-2.0 */
/* Images that were made to break the loader, and paths that lead to no image at all. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf_builder.h"
#include "runner.h"
#include "vmm/boot/elf_image.h"
#include "vmm/boot/input_file.h"

#define MEMORY_SIZE (4ULL << 20)
#define ROUNDS      4000U

static struct memory memory;
static struct l1_memory l1;
static struct elf_file file;
static struct error error;

static void setup(void)
{
    ck_assert_int_eq(memory_create(&memory, MEMORY_SIZE, &error), 0);
    l1 = (struct l1_memory){&memory, 0, MEMORY_SIZE};
    elf_file_init(&file);
}

/* Whatever the bytes are: loaded, and then consistently; or refused with a line. */
static bool load_anything(const void *bytes, size_t size)
{
    struct elf_image image;
    bool loaded;

    error.text[0] = '\0';
    if (elf_image_open(&image, elf_file_path(bytes, size), &error) != 0) {
        ck_assert_msg(strncmp(error.text, "/proc/self/fd/", 14) == 0, "%s", error.text);
        ck_assert_ptr_null(image.file);
        return false;
    }
    ck_assert(image.segment_count >= 1 && image.segment_count <= ELF_IMAGE_SEGMENTS);
    for (unsigned int i = 1; i < image.segment_count; i++)
        ck_assert(image.segment[i - 1].address + image.segment[i - 1].memory_size <=
                  image.segment[i].address);
    ck_assert(image.segment[0].address >= ELF_IMAGE_LOWEST);
    ck_assert(image.entry >= image.segment[0].address && image.entry < image.end);
    loaded = elf_image_load(&image, &l1, &error) == 0;
    ck_assert(loaded == (image.end <= MEMORY_SIZE));
    elf_image_close(&image);
    return loaded;
}

/* Every byte of the headers and the note, with every value. */
START_TEST(each_byte)
{
    uint8_t *bytes = (uint8_t *)&file;

    setup();
    for (size_t at = (size_t)_i * 32; at < (size_t)_i * 32 + 32; at++) {
        const uint8_t good = bytes[at];

        for (unsigned int value = 0; value < 256; value++) {
            bytes[at] = (uint8_t)value;
            load_anything(&file, sizeof(file));
        }
        bytes[at] = good;
    }
    ck_assert(load_anything(&file, sizeof(file)));
    memory_destroy(&memory);
}
END_TEST

static uint64_t odd_value(void)
{
    static const uint64_t values[] = {
        0,       1,          4,          UINT64_MAX, UINT32_MAX,   0xffff,
        0x10000, 1ULL << 31, 1ULL << 63, 0x100000,   BUILDER_SIZE, MEMORY_SIZE};
    const uint64_t value = values[(unsigned long)lrand48() % ELEMENTS(values)];

    return value + (uint64_t)(lrand48() % 3) - 1;
}

/* Several fields at once, with the values that overflow sums. */
START_TEST(several_fields)
{
    unsigned int loaded = 0;

    setup();
    srand48(_i);
    for (unsigned int round = 0; round < ROUNDS; round++) {
        const long changes = lrand48() % 4 + 1;
        size_t size = lrand48() % 4 ? sizeof(file) : (size_t)lrand48() % sizeof(file);

        elf_file_init(&file);
        for (long i = 0; i < changes; i++) {
            const uint64_t value = odd_value();
            const size_t width = (size_t)1 << lrand48() % 4;
            const size_t at = (size_t)lrand48() % (BUILDER_TEXT / width) * width;

            memcpy((uint8_t *)&file + at, &value, width);
        }
        loaded += load_anything(&file, size);
    }
    ck_assert_uint_gt(loaded, 0);
    memory_destroy(&memory);
}
END_TEST

/* An image with many program headers, all of them segments of one page. */
static bool load_many(unsigned int headers, unsigned int segments, struct error *why)
{
    static uint8_t bytes[BUILDER_TEXT + 100 * sizeof(Elf64_Phdr)];
    Elf64_Phdr *table = (Elf64_Phdr *)(void *)(bytes + BUILDER_TEXT);

    elf_file_init(&file);
    file.header.e_phoff = BUILDER_TEXT;
    file.header.e_phnum = (uint16_t)headers;
    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes, &file, BUILDER_TEXT);
    table[0] = file.segment[0];
    for (unsigned int i = 1; i <= segments; i++) {
        table[i] = file.segment[1];
        table[i].p_memsz = PAGE_SIZE;
        /* Downwards, so that they have to be sorted. */
        table[i].p_paddr = BUILDER_TEXT_AT + (segments - i) * PAGE_SIZE;
    }
    if (load_anything(bytes, sizeof(bytes)))
        return true;
    *why = error;
    return false;
}

START_TEST(many_segments)
{
    struct error why;

    setup();
    ck_assert(load_many(ELF_IMAGE_HEADERS, ELF_IMAGE_SEGMENTS, &why));
    ck_assert(!load_many(ELF_IMAGE_HEADERS, ELF_IMAGE_SEGMENTS + 1, &why));
    ck_assert_ptr_nonnull(strstr(why.text, "segment 33: is one more than the limit of 32"));
    ck_assert(!load_many(ELF_IMAGE_HEADERS + 1, ELF_IMAGE_SEGMENTS, &why));
    ck_assert_ptr_nonnull(strstr(why.text, "has 65 program headers, more than 64"));
    memory_destroy(&memory);
}
END_TEST

/* Notes without end. */
START_TEST(many_notes)
{
    const size_t size = 1 << 20;
    uint8_t *bytes = calloc(1, size);

    setup();
    file.segment[0].p_offset = BUILDER_SIZE;
    file.segment[0].p_filesz = 0x10000U + (unsigned int)_i;
    memcpy(bytes, &file, sizeof(file));
    ck_assert(!load_anything(bytes, size));
    ck_assert_ptr_nonnull(
        strstr(error.text, _i == 0 ? "has no PVH entry" : "has more than 64 KiB of notes"));
    free(bytes);
    memory_destroy(&memory);
}
END_TEST

static void refused_path(const char *path, int code, const char *what)
{
    struct elf_image image;

    ck_assert_int_eq(elf_image_open(&image, path, &error), code);
    ck_assert_msg(strncmp(error.text, path, strlen(path)) == 0, "%s", error.text);
    ck_assert_msg(strstr(error.text, what) != NULL, "%s", error.text);
}

START_TEST(paths)
{
    char directory[] = "/tmp/mezz-test-XXXXXX";
    char fifo[64];
    char link[64];

    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(fifo, sizeof(fifo), "%s/fifo", directory);
    snprintf(link, sizeof(link), "%s/link", directory);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    ck_assert_int_eq(symlink("nowhere", link), 0);
    refused_path(directory, -EINVAL, "is a directory");
    refused_path(fifo, -EINVAL, "is a FIFO");
    refused_path(link, -ENOENT, "No such file or directory");
    refused_path("/nonexistent/image.elf", -ENOENT, "No such file or directory");
    refused_path("/dev/null/image.elf", -ENOTDIR, "Not a directory");
    refused_path("/dev/null", -EINVAL, "is a device");
    refused_path("/dev/zero", -EINVAL, "is a device");
    refused_path("", -ENOENT, "No such file or directory");
    refused_path("/proc/self/maps", -EINVAL, "is empty"); /* a file that says nothing of its size */
    unlink(fifo);
    unlink(link);
    rmdir(directory);
}
END_TEST

START_TEST(unreadable)
{
    char path[] = "/tmp/mezz-test-XXXXXX";
    const int descriptor = mkstemp(path);

    ck_assert_int_eq(fchmod(descriptor, 0), 0);
    close(descriptor);
    if (geteuid() != 0)
        refused_path(path, -EACCES, "Permission denied");
    unlink(path);
}
END_TEST

START_TEST(large_files)
{
    refused_path(elf_file_sparse(INPUT_FILE_LIMIT + 1), -EINVAL, "more than the limit of 256 MiB");
    refused_path(elf_file_sparse(1ULL << 40), -EINVAL, "has 1048576 MiB");
    refused_path(elf_file_sparse(16 << 20), -EINVAL, "is no ELF file");
}
END_TEST

/* The file is cut off, or grows, after its size was looked at. */
START_TEST(file_that_changes)
{
    struct input_file input;
    uint8_t bytes[BUILDER_SIZE];

    elf_file_init(&file);
    ck_assert_int_eq(input_file_open(&input, elf_file_path(&file, sizeof(file)), &error), 0);
    ck_assert_uint_eq(input.size, BUILDER_SIZE);
    ck_assert_int_eq(ftruncate(elf_file_descriptor(), 2 * BUILDER_SIZE), 0);
    ck_assert_int_eq(input_file_read(&input, bytes, &error), 0);
    ck_assert_mem_eq(bytes, &file, sizeof(file));
    ck_assert_int_eq(ftruncate(elf_file_descriptor(), BUILDER_SIZE - 1), 0);
    ck_assert_int_eq(input_file_read(&input, bytes, &error), -EINVAL);
    ck_assert_ptr_nonnull(strstr(error.text, "became shorter while it was read"));
    input_file_close(&input);
}
END_TEST

RUN_CASES("elf_image hostile", 120, EACH(each_byte, BUILDER_TEXT / 32), EACH(several_fields, 4),
          ONCE(many_segments), EACH(many_notes, 2), ONCE(paths), ONCE(unreadable),
          ONCE(large_files), ONCE(file_that_changes))
