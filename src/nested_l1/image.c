/* SPDX-License-Identifier: Apache-2.0 */
#include "image.h"

#include <stddef.h>

#include "lib/machine.h"
#include "mezz/abi.h"
#include "mezz/pvh.h"

/* ELF64, as the System V ABI has it. */
struct elf_header {
    uint32_t magic;
    uint8_t class;
    uint8_t data;
    uint8_t version;
    uint8_t rest[9];
    uint16_t type;
    uint16_t machine;
    uint32_t file_version;
    uint64_t entry;
    uint64_t program_headers;
    uint64_t section_headers;
    uint32_t flags;
    uint16_t header_size;
    uint16_t program_header_size;
    uint16_t program_header_count;
    uint16_t section_header_size;
    uint16_t section_header_count;
    uint16_t section_names;
};
MEZZ_PIN_SIZE(struct elf_header, 64);

struct elf_program_header {
    uint32_t type;
    uint32_t flags;
    uint64_t offset;
    uint64_t virtual_address;
    uint64_t physical_address;
    uint64_t file_size;
    uint64_t memory_size;
    uint64_t alignment;
};
MEZZ_PIN_SIZE(struct elf_program_header, 56);

struct elf_note {
    uint32_t name_size;
    uint32_t descriptor_size;
    uint32_t type;
};

#define ELF_MAGIC           0x464c457fU
#define ELF_CLASS_64        2
#define ELF_LITTLE_ENDIAN   1
#define ELF_EXECUTABLE      2
#define ELF_X86_64          62
#define ELF_LOAD            1
#define ELF_NOTE            4
#define ELF_PROGRAM_HEADERS 64
#define NOTE_NAME_XEN       0x006e6558U /* "Xen" with its NUL */

static const char *check_header(const struct elf_header *header, uint64_t size)
{
    if (size < sizeof(*header) || header->magic != ELF_MAGIC)
        return "it is not an ELF file";
    if (header->class != ELF_CLASS_64 || header->data != ELF_LITTLE_ENDIAN ||
        header->machine != ELF_X86_64 || header->type != ELF_EXECUTABLE)
        return "it is not an executable for x86-64";
    if (header->program_header_size != sizeof(struct elf_program_header) ||
        header->program_header_count > ELF_PROGRAM_HEADERS || header->program_headers % 8)
        return "its program headers are malformed";
    if (header->program_headers > size ||
        header->program_header_count * sizeof(struct elf_program_header) >
            size - header->program_headers)
        return "its program headers lie outside the file";
    return NULL;
}

static const char *add_segment(struct image *image, const struct elf_program_header *header,
                               uint64_t file, uint64_t memory)
{
    if (!header->memory_size)
        return NULL;
    if (header->file_size > header->memory_size)
        return "a segment is larger in the file than in memory";
    if (header->physical_address > memory ||
        header->memory_size > memory - header->physical_address)
        return "a segment lies outside its memory";
    if (header->physical_address < image->end)
        return "its segments overlap or are not in ascending order";
    if (image->segment_count == IMAGE_SEGMENTS)
        return "it has too many segments";
    image->segment[image->segment_count++] = (struct image_segment){
        .gpa = header->physical_address,
        .file = file + header->offset,
        .file_size = header->file_size,
        .memory_size = header->memory_size,
    };
    image->end = header->physical_address + header->memory_size;
    return NULL;
}

/* The PVH entry among a segment's notes: each has a header, a name and a descriptor, the last two
 * padded to 4 bytes. */
static const char *find_entry(struct image *image, uint64_t notes, uint64_t size)
{
    while (size >= sizeof(struct elf_note)) {
        const struct elf_note *note = pointer_at(notes);
        uint64_t name_size = ((uint64_t)note->name_size + 3) & ~3ULL;
        uint64_t whole =
            sizeof(*note) + name_size + (((uint64_t)note->descriptor_size + 3) & ~3ULL);

        if (whole > size)
            return "a note is longer than its segment";
        if (note->type == MEZZ_PVH_NOTE_TYPE && note->name_size == 4 &&
            *(const uint32_t *)(note + 1) == NOTE_NAME_XEN) {
            const uint32_t *descriptor = (const uint32_t *)(note + 1) + 1;

            if (note->descriptor_size != 4 && note->descriptor_size != 8)
                return "its PVH note has a wrong size";
            image->entry = descriptor[0];
            if (note->descriptor_size == 8 && descriptor[1])
                return "its PVH entry is beyond 4 GiB";
        }
        notes += whole;
        size -= whole;
    }
    return NULL;
}

static const char *check_entry(const struct image *image)
{
    if (!image->entry)
        return "it has no PVH entry";
    for (unsigned int i = 0; i < image->segment_count; i++)
        if (image->entry - image->segment[i].gpa < image->segment[i].memory_size)
            return NULL;
    return "its PVH entry is in none of its segments";
}

const char *image_read(struct image *image, uint64_t file, uint64_t size, uint64_t memory)
{
    const struct elf_header *header = pointer_at(file);
    const char *wrong = check_header(header, size);
    const struct elf_program_header *program;

    if (wrong)
        return wrong;
    image->entry = 0;
    image->end = 0;
    image->segment_count = 0;
    program = pointer_at(file + header->program_headers);
    for (unsigned int i = 0; i < header->program_header_count; i++, program++) {
        if (program->type != ELF_LOAD && program->type != ELF_NOTE)
            continue;
        if (program->offset > size || program->file_size > size - program->offset)
            return "a segment lies outside the file";
        if (program->type == ELF_LOAD)
            wrong = add_segment(image, program, file, memory);
        else if (program->offset % 4 == 0)
            wrong = find_entry(image, file + program->offset, program->file_size);
        if (wrong)
            return wrong;
    }
    return check_entry(image);
}
