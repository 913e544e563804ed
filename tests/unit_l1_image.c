/* SPDX-License-Identifier: Apache-2.0 */
/* The ELF files that L1 starts its guests from: nothing in them is trusted. */
#include <stdlib.h>
#include <string.h>

#include "elf_builder.h"
#include "image.h"
#include "lib/machine.h"
#include "runner.h"

#define MEMORY (8ULL << 20)
#define ROUNDS 20000U

static struct elf_file file;

/* From a copy of just that many bytes, so that a read behind them is noticed. */
static const char *read_bytes(struct image *image, const void *bytes, size_t size, uint64_t memory)
{
    uint8_t *copy = aligned_alloc(8, size == 0 ? 8 : (size + 7) & ~7ULL);
    const char *wrong;

    ck_assert_ptr_nonnull(copy);
    copy = realloc(copy, size == 0 ? 1 : size);
    memcpy(copy, bytes, size);
    wrong = image_read(image, address_of(copy), size, memory);
    if (wrong == NULL)
        for (unsigned int i = 0; i < image->segment_count; i++)
            image->segment[i].file -= address_of(copy);
    free(copy);
    return wrong;
}

START_TEST(good)
{
    struct image image;

    elf_file_init(&file);
    ck_assert_ptr_null(read_bytes(&image, &file, sizeof(file), MEMORY));
    ck_assert_uint_eq(image.entry, BUILDER_ENTRY);
    ck_assert_uint_eq(image.end, BUILDER_END);
    ck_assert_uint_eq(image.segment_count, 2);
    ck_assert_uint_eq(image.segment[0].gpa, BUILDER_TEXT_AT);
    ck_assert_uint_eq(image.segment[0].file, BUILDER_TEXT);
    ck_assert_uint_eq(image.segment[0].file_size, sizeof(file.text));
    ck_assert_uint_eq(image.segment[0].memory_size, BUILDER_TEXT_END - BUILDER_TEXT_AT);
    ck_assert_uint_eq(image.segment[1].gpa, BUILDER_DATA_AT);
    /* Memory that ends exactly where the image does. */
    ck_assert_ptr_null(read_bytes(&image, &file, sizeof(file), BUILDER_END));
}
END_TEST

#define SPOIL(name, change) \
    static void name(void)  \
    {                       \
        change;             \
    }

SPOIL(magic, file.header.e_ident[0] = 0)
SPOIL(class, file.header.e_ident[EI_CLASS] = ELFCLASS32)
SPOIL(machine, file.header.e_machine = EM_386)
SPOIL(type, file.header.e_type = ET_DYN)
SPOIL(header_size, file.header.e_phentsize--)
SPOIL(header_count, file.header.e_phnum = 65)
SPOIL(header_place, file.header.e_phoff = 4)
SPOIL(headers_outside, file.header.e_phoff = BUILDER_SIZE - 8)
SPOIL(headers_far_outside, file.header.e_phoff = UINT64_MAX - 7)
SPOIL(segment_outside_file, file.segment[1].p_offset = BUILDER_SIZE)
SPOIL(segment_far_outside, file.segment[1].p_offset = UINT64_MAX)
SPOIL(segment_size_overflows, file.segment[1].p_filesz = UINT64_MAX)
SPOIL(segment_too_long, file.segment[2].p_memsz = file.segment[2].p_filesz - 1)
SPOIL(segment_outside_memory, file.segment[2].p_paddr = MEMORY)
SPOIL(segment_far_away, file.segment[2].p_paddr = UINT64_MAX)
SPOIL(segment_huge, file.segment[2].p_memsz = UINT64_MAX)
SPOIL(segments_overlap, file.segment[2].p_paddr = BUILDER_TEXT_AT + 1)
SPOIL(segments_descend, file.segment[2].p_paddr = 0)
SPOIL(no_note, file.segment[0].p_type = PT_NULL)
SPOIL(other_note, file.note.n_type++)
SPOIL(other_name, file.note_name[0] = 'Y')
SPOIL(note_too_long, file.note.n_descsz = UINT32_MAX)
SPOIL(note_name_too_long, file.note.n_namesz = UINT32_MAX)
SPOIL(note_size, file.note.n_descsz = 2)
SPOIL(entry_nowhere, file.note_entry = BUILDER_TEXT_END)

static const struct {
    void (*spoil)(void);
    const char *wrong; /* a part of it */
} mistakes[] = {
    {magic, "not an ELF file"},
    {class, "not an executable for x86-64"},
    {machine, "not an executable for x86-64"},
    {type, "not an executable for x86-64"},
    {header_size, "malformed"},
    {header_count, "malformed"},
    {header_place, "malformed"},
    {headers_outside, "headers lie outside"},
    {headers_far_outside, "headers lie outside"},
    {segment_outside_file, "segment lies outside the file"},
    {segment_far_outside, "segment lies outside the file"},
    {segment_size_overflows, "segment lies outside the file"},
    {segment_too_long, "larger in the file than in memory"},
    {segment_outside_memory, "segment lies outside its memory"},
    {segment_far_away, "segment lies outside its memory"},
    {segment_huge, "segment lies outside its memory"},
    {segments_overlap, "not in ascending order"},
    {segments_descend, "not in ascending order"},
    {no_note, "no PVH entry"},
    {other_note, "no PVH entry"},
    {other_name, "no PVH entry"},
    {note_too_long, "note is longer"},
    {note_name_too_long, "note is longer"},
    {note_size, "note has a wrong size"},
    {entry_nowhere, "in none of its segments"},
};

START_TEST(refused)
{
    struct image image;
    const char *wrong;

    elf_file_init(&file);
    mistakes[_i].spoil();
    wrong = read_bytes(&image, &file, sizeof(file), MEMORY);
    ck_assert_ptr_nonnull(wrong);
    ck_assert_msg(strstr(wrong, mistakes[_i].wrong) != NULL, "\"%s\" where \"%s\" was expected",
                  wrong, mistakes[_i].wrong);
}
END_TEST

/* An image cut anywhere is refused, or whole. */
START_TEST(truncated)
{
    struct image image;

    elf_file_init(&file);
    for (size_t size = 0; size < sizeof(file); size++)
        ck_assert_ptr_nonnull(read_bytes(&image, &file, size, MEMORY));
}
END_TEST

/* What is accepted is consistent, whatever the bytes were. */
START_TEST(random_bytes)
{
    struct image image;
    unsigned int accepted = 0;

    srandom(1);
    for (unsigned int round = 0; round < ROUNDS; round++) {
        uint8_t *bytes = (uint8_t *)&file;
        uint64_t end = 0;

        elf_file_init(&file);
        for (long i = random() % 6; i >= 0; i--)
            bytes[random() % (long)BUILDER_TEXT] = (uint8_t)random();
        if (read_bytes(&image, &file, sizeof(file), MEMORY) != NULL)
            continue;
        accepted++;
        ck_assert_uint_le(image.segment_count, IMAGE_SEGMENTS);
        for (unsigned int i = 0; i < image.segment_count; i++) {
            const struct image_segment *segment = &image.segment[i];

            ck_assert_uint_ge(segment->gpa, end);
            end = segment->gpa + segment->memory_size;
            ck_assert_uint_le(end, MEMORY);
            ck_assert_uint_le(segment->file_size, segment->memory_size);
            ck_assert_uint_le(segment->file, sizeof(file));
            ck_assert_uint_le(segment->file_size, sizeof(file) - segment->file);
        }
        ck_assert_uint_eq(image.end, end);
    }
    ck_assert_uint_gt(accepted, 0);
    ck_assert_uint_lt(accepted, ROUNDS);
}
END_TEST

RUN_CASES("l1_image", 60, ONCE(good), EACH(refused, ELEMENTS(mistakes)), ONCE(truncated),
          ONCE(random_bytes))
