/* SPDX-License-Identifier: Apache-2.0 */
/* Images that load, and the one mistake for each reason not to. */
#include "vmm/boot/elf_image.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "elf_builder.h"
#include "runner.h"

#define MEMORY_SIZE   (4ULL << 20)
#define MEMORY_OFFSET 0x10000ULL /* L1's memory is not the start of the machine's */
#define UNTOUCHED     0xcc

static struct memory memory;
static struct l1_memory l1;
static struct elf_file file;
static struct elf_image image;
static struct error error;

static void setup(void)
{
    ck_assert_int_eq(memory_create(&memory, MEMORY_SIZE + 2 * MEMORY_OFFSET, &error), 0);
    memset(memory.base, UNTOUCHED, memory.size);
    l1 = (struct l1_memory){&memory, MEMORY_OFFSET, MEMORY_SIZE};
    elf_file_init(&file);
}

static bool is_filled(uint64_t from, uint64_t to, uint8_t value)
{
    while (from < to)
        if (memory.base[from++] != value)
            return false;
    return true;
}

/* Like is_filled, for L1 addresses. */
static bool l1_filled(uint64_t from, uint64_t to, uint8_t value)
{
    return is_filled(from + MEMORY_OFFSET, to + MEMORY_OFFSET, value);
}

static int load_bytes(const void *bytes, size_t size)
{
    int code;

    error.text[0] = '\0';
    code = elf_image_open(&image, elf_file_path(bytes, size), &error);
    if (code == 0) {
        code = elf_image_load(&image, &l1, &error);
        elf_image_close(&image);
    }
    return code;
}

/* The image is refused with a line that names the file and says this; memory is untouched. */
static void refused(const char *what)
{
    ck_assert_int_eq(load_bytes(&file, sizeof(file)), -EINVAL);
    ck_assert_msg(strncmp(error.text, "/proc/self/fd/", 14) == 0, "%s", error.text);
    ck_assert_msg(strstr(error.text, what) != NULL, "\"%s\" is not in \"%s\"", what, error.text);
    ck_assert_msg(is_filled(0, memory.size, UNTOUCHED), "%s, but memory was written", error.text);
}

static void accepted(void)
{
    const int code = load_bytes(&file, sizeof(file));

    ck_assert_msg(code == 0, "%s", error.text);
}

START_TEST(loads)
{
    setup();
    accepted();
    ck_assert_uint_eq(image.entry, BUILDER_ENTRY);
    ck_assert_uint_eq(image.end, BUILDER_END);
    ck_assert_uint_eq(image.segment_count, 2);
    ck_assert(is_filled(0, MEMORY_OFFSET + BUILDER_TEXT_AT, UNTOUCHED));
    ck_assert(l1_filled(BUILDER_TEXT_AT, BUILDER_TEXT_AT + 512, 0x90));
    ck_assert(l1_filled(BUILDER_TEXT_AT + 512, BUILDER_TEXT_END, 0));
    ck_assert(l1_filled(BUILDER_TEXT_END, BUILDER_DATA_AT, UNTOUCHED));
    ck_assert(l1_filled(BUILDER_DATA_AT, BUILDER_DATA_AT + 256, 0xda));
    ck_assert(l1_filled(BUILDER_DATA_AT + 256, BUILDER_END, 0));
    ck_assert(is_filled(MEMORY_OFFSET + BUILDER_END, memory.size, UNTOUCHED));
    memory_destroy(&memory);
}
END_TEST

/* Each field of the headers with each value that is wrong in its own way. */
#define HEADER(field)     offsetof(struct elf_file, header.field), sizeof(file.header.field)
#define SEGMENT(n, field) offsetof(struct elf_file, segment[n].field), sizeof(file.segment[n].field)
#define NOTE(field)       offsetof(struct elf_file, note.field), sizeof(file.note.field)
#define MEMBER(field)     offsetof(struct elf_file, field), sizeof(file.field)
#define IDENT(index)      offsetof(struct elf_file, header.e_ident[index]), 1

static const struct {
    size_t offset, size;
    uint64_t value;
    const char *message; /* NULL: no mistake */
} mutations[] = {
    {IDENT(0), 0, "is no ELF file"},
    {IDENT(3), 'f', "is no ELF file"},
    {IDENT(EI_CLASS), ELFCLASSNONE, "has no known ELF class"},
    {IDENT(EI_CLASS), ELFCLASS32, "is a 32-bit ELF file"},
    {IDENT(EI_CLASS), 3, "has no known ELF class"},
    {IDENT(EI_DATA), ELFDATANONE, "is no little-endian ELF file"},
    {IDENT(EI_DATA), ELFDATA2MSB, "is no little-endian ELF file"},
    {IDENT(EI_VERSION), 0, "has no known ELF version"},
    {IDENT(EI_VERSION), 2, "has no known ELF version"},
    {IDENT(EI_OSABI), 0xff, NULL},
    {HEADER(e_type), ET_NONE, "is no executable"},
    {HEADER(e_type), ET_REL, "is no executable"},
    {HEADER(e_type), ET_DYN, "is no executable"},
    {HEADER(e_type), ET_CORE, "is no executable"},
    {HEADER(e_machine), EM_386, "is for machine 3, not for x86-64"},
    {HEADER(e_machine), EM_AARCH64, "is for machine 183"},
    {HEADER(e_version), 0, "has no known ELF version"},
    {HEADER(e_entry), UINT64_MAX, NULL}, /* the PVH note counts */
    {HEADER(e_phoff), 0, "file has no program header"},
    {HEADER(e_phoff), BUILDER_SIZE - 1, "is cut off in the program headers"},
    {HEADER(e_phoff), UINT64_MAX, "is cut off in the program headers"},
    {HEADER(e_phoff), UINT64_MAX - 100, "is cut off in the program headers"},
    {HEADER(e_phentsize), 0, "program headers of 0 bytes"},
    {HEADER(e_phentsize), 32, "program headers of 32 bytes"},
    {HEADER(e_phentsize), 57, "program headers of 57 bytes"},
    {HEADER(e_phnum), 0, "no program headers"},
    {HEADER(e_phnum), 1, "has no segment to load"},
    {HEADER(e_phnum), 2, NULL},
    {HEADER(e_phnum), 65, "has 65 program headers, more than 64"},
    {HEADER(e_phnum), 64, "is cut off in the program headers"},
    {HEADER(e_phnum), PN_XNUM, "has 65535 program headers, more than 64"},
    {HEADER(e_shoff), UINT64_MAX, NULL},
    {HEADER(e_shnum), 0xffff, NULL},
    {HEADER(e_shstrndx), 0xffff, NULL},
    {SEGMENT(0, p_type), PT_NULL, "has no PVH entry"},
    {SEGMENT(0, p_offset), BUILDER_SIZE, "segment 0: (notes) reaches past the end of the file"},
    {SEGMENT(0, p_offset), UINT64_MAX, "segment 0: (notes) reaches past the end of the file"},
    {SEGMENT(0, p_filesz), 0, "has no PVH entry"},
    {SEGMENT(0, p_filesz), 11, "has no PVH entry"},
    {SEGMENT(0, p_filesz), 19, "has no PVH entry"},
    {SEGMENT(0, p_filesz), UINT64_MAX, "segment 0: (notes) reaches past the end of the file"},
    {SEGMENT(0, p_align), 8, "has no PVH entry"}, /* the descriptor would be padded */
    {SEGMENT(0, p_align), 0, NULL},
    {SEGMENT(1, p_type), PT_NULL, "in no segment"},
    {SEGMENT(1, p_flags), 0, NULL},
    {SEGMENT(1, p_vaddr), UINT64_MAX, NULL},
    {SEGMENT(1, p_offset), BUILDER_SIZE - 511, "segment 1: reaches past the end of the file"},
    {SEGMENT(1, p_offset), BUILDER_SIZE - 512, NULL},
    {SEGMENT(1, p_offset), UINT64_MAX, "segment 1: reaches past the end of the file"},
    {SEGMENT(1, p_offset), UINT64_MAX - 511, "segment 1: reaches past the end of the file"},
    {SEGMENT(1, p_filesz), BUILDER_SIZE, "segment 1: reaches past the end of the file"},
    {SEGMENT(1, p_filesz), 0x2001, "segment 1: is larger in the file than in memory"},
    {SEGMENT(1, p_filesz), UINT64_MAX, "segment 1: is larger in the file than in memory"},
    {SEGMENT(1, p_filesz), 0, "in no segment"},
    {SEGMENT(1, p_filesz), 0x10, "in no segment"},
    {SEGMENT(1, p_filesz), 0x11, NULL},
    {SEGMENT(1, p_memsz), 511, "segment 1: is larger in the file than in memory"},
    {SEGMENT(1, p_memsz), 0, "segment 1: is larger in the file than in memory"},
    {SEGMENT(1, p_memsz), 0x100000, NULL},
    {SEGMENT(1, p_memsz), 0x100001, "segment 2: overlaps segment 1"},
    {SEGMENT(1, p_memsz), UINT64_MAX, "segment 1: reaches past the end of the address space"},
    {SEGMENT(1, p_paddr), 0, "segment 1: starts at 0, below 0x10000"},
    {SEGMENT(1, p_paddr), 0xffff, "segment 1: starts at 0xffff, below 0x10000"},
    {SEGMENT(1, p_paddr), 0x10000, "in no segment"},
    {SEGMENT(1, p_paddr), UINT64_MAX, "segment 1: reaches past the end of the address space"},
    {SEGMENT(1, p_paddr), BUILDER_DATA_AT, "overlaps segment"},
    {SEGMENT(2, p_paddr), BUILDER_TEXT_END - 1, "segment 2: overlaps segment 1"},
    {SEGMENT(2, p_paddr), BUILDER_TEXT_END, NULL},
    {SEGMENT(2, p_paddr), BUILDER_TEXT_AT - 0xfff, "segment 1: overlaps segment 2"},
    {SEGMENT(2, p_paddr), BUILDER_TEXT_AT - 0x1000, NULL},
    {SEGMENT(2, p_paddr), MEMORY_SIZE - 0x1000, NULL},
    {SEGMENT(2, p_paddr), MEMORY_SIZE - 0xfff, "segment 2: [0x3ff001, 0x400001) is outside"},
    {SEGMENT(2, p_paddr), MEMORY_SIZE, "segment 2: [0x400000, 0x401000) is outside"},
    {SEGMENT(2, p_paddr), 1ULL << 40, "is outside the memory of 4096 KiB"},
    {SEGMENT(2, p_memsz), 1ULL << 62, "segment 2: [0x200000, 0x4000000000200000) is outside"},
    {NOTE(n_type), 17, "has no PVH entry"},
    {NOTE(n_namesz), 3, "has no PVH entry"},
    {NOTE(n_namesz), UINT32_MAX, "has no PVH entry"},
    {NOTE(n_descsz), 3, "segment 0: a PVH entry note of 3 bytes"},
    {NOTE(n_descsz), 0, "segment 0: a PVH entry note of 0 bytes"},
    {NOTE(n_descsz), UINT32_MAX, "has no PVH entry"},
    {MEMBER(note_name), 'X' | 'E' << 8 | 'N' << 16, "has no PVH entry"},
    {MEMBER(note_entry), BUILDER_TEXT_AT - 1, "the PVH entry 0xfffff is in no segment's"},
    {MEMBER(note_entry), BUILDER_TEXT_AT, NULL},
    {MEMBER(note_entry), BUILDER_TEXT_AT + 511, NULL},
    {MEMBER(note_entry), BUILDER_TEXT_AT + 512, "in no segment's part of the file"}, /* zeroes */
    {MEMBER(note_entry), 0, "the PVH entry 0 is in no segment's"},
    {MEMBER(note_entry), UINT32_MAX, "in no segment's part of the file"},
};

START_TEST(field)
{
    setup();
    memcpy((uint8_t *)&file + mutations[_i].offset, &mutations[_i].value, mutations[_i].size);
    if (mutations[_i].message != NULL)
        refused(mutations[_i].message);
    else
        accepted();
    memory_destroy(&memory);
}
END_TEST

/* Cut off behind every byte: only the whole file loads. */
START_TEST(truncated)
{
    setup();
    for (size_t size = 0; size < BUILDER_SIZE; size++) {
        ck_assert_msg(load_bytes(&file, size) == -EINVAL, "%zu bytes were accepted", size);
        ck_assert_msg(strncmp(error.text, "/proc/self/fd/", 14) == 0, "%s", error.text);
    }
    ck_assert(is_filled(0, memory.size, UNTOUCHED));
    ck_assert_int_eq(load_bytes(&file, BUILDER_SIZE), 0);
    memory_destroy(&memory);
}
END_TEST

static const struct {
    size_t size;
    const char *message;
} cuts[] = {
    {0, "is empty"},
    {3, "is no ELF file"},
    {15, "is cut off in the ELF identification"},
    {63, "is cut off in the ELF header"},
    {BUILDER_HEADERS, "is cut off in the program headers"},
    {BUILDER_NOTE - 1, "is cut off in the program headers"},
    {BUILDER_NOTE, "segment 0: (notes) reaches past the end of the file"},
    {BUILDER_TEXT, "segment 1: reaches past the end of the file"},
    {BUILDER_SIZE - 1, "segment 2: reaches past the end of the file"},
};

START_TEST(truncated_at_a_header)
{
    setup();
    ck_assert_int_eq(load_bytes(&file, cuts[_i].size), -EINVAL);
    ck_assert_msg(strstr(error.text, cuts[_i].message) != NULL, "%s", error.text);
    memory_destroy(&memory);
}
END_TEST

/* The third one has code at its entry, but 32-bit code does not get there. */
START_TEST(long_entry_note)
{
    static const uint64_t entries[] = {BUILDER_ENTRY, 1ULL << 32 | BUILDER_ENTRY,
                                       1ULL << 32 | BUILDER_ENTRY};

    setup();
    file.note.n_descsz = 8;
    file.segment[0].p_filesz += 4;
    /* The descriptor starts at note_entry and is two words long. */
    memcpy((uint8_t *)&file + offsetof(struct elf_file, note_entry), &entries[_i], 8);
    if (_i == 2)
        file.segment[2].p_paddr = 1ULL << 32 | BUILDER_TEXT_AT;
    if (_i == 0)
        accepted();
    else
        refused("the PVH entry 0x100100010 is in no segment's");
    memory_destroy(&memory);
}
END_TEST

/* Some L2's image, which L1 loads: only the size of the memory is known. */
START_TEST(fits)
{
    setup();
    ck_assert_int_eq(elf_image_open(&image, elf_file_path(&file, sizeof(file)), &error), 0);
    ck_assert_int_eq(elf_image_fits(&image, BUILDER_END, &error), 0);
    ck_assert_int_eq(elf_image_fits(&image, BUILDER_END - 1, &error), -EINVAL);
    ck_assert_int_eq(elf_image_fits(&image, 0, &error), -EINVAL);
    elf_image_close(&image);
    memory_destroy(&memory);
}
END_TEST

RUN_CASES("elf_image", 60, ONCE(loads), EACH(field, ELEMENTS(mutations)), ONCE(truncated),
          EACH(truncated_at_a_header, ELEMENTS(cuts)), EACH(long_entry_note, 3), ONCE(fits))
