/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/elf_image.h"

#include <errno.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mezz/pvh.h"
#include "vmm/boot/input_file.h"

/* Real images have some hundred bytes of notes; the cap bounds the time of the search. */
#define NOTES_LIMIT 0x10000ULL

typedef unsigned long long ull;

/* What opening keeps while it validates. */
struct reader {
    struct elf_image *image;
    Elf *elf;
    unsigned int headers;
    bool has_entry;
    uint64_t entry;
    struct error *error;
};

static int bad(const struct reader *reader, const char *what)
{
    return error_set(reader->error, EINVAL, "%s: %s", reader->image->path, what);
}

static int bad_segment(const struct reader *reader, unsigned int number, const char *what)
{
    return error_set(reader->error, EINVAL, "%s: segment %u: %s", reader->image->path, number,
                     what);
}

/* Whether [offset, offset + length) lies in the file. */
static bool in_file(const struct elf_image *image, uint64_t offset, uint64_t length)
{
    return offset <= image->file_size && length <= image->file_size - offset;
}

static int check_ident(const struct reader *reader)
{
    const struct elf_image *image = reader->image;
    const uint8_t *ident = image->file;

    if (image->file_size < SELFMAG || memcmp(ident, ELFMAG, SELFMAG) != 0)
        return bad(reader, "is no ELF file");
    if (image->file_size < EI_NIDENT)
        return bad(reader, "is cut off in the ELF identification");
    if (ident[EI_CLASS] == ELFCLASS32)
        return bad(reader, "is a 32-bit ELF file, a 64-bit one is needed");
    if (ident[EI_CLASS] != ELFCLASS64)
        return bad(reader, "has no known ELF class");
    if (ident[EI_DATA] != ELFDATA2LSB)
        return bad(reader, "is no little-endian ELF file");
    if (ident[EI_VERSION] != EV_CURRENT)
        return bad(reader, "has no known ELF version");
    if (image->file_size < sizeof(Elf64_Ehdr))
        return bad(reader, "is cut off in the ELF header");
    return 0;
}

static int check_header(struct reader *reader)
{
    GElf_Ehdr header;

    if (gelf_getehdr(reader->elf, &header) == NULL)
        return bad(reader, elf_errmsg(-1));
    if (header.e_machine != EM_X86_64)
        return error_set(reader->error, EINVAL, "%s: is for machine %u, not for x86-64",
                         reader->image->path, header.e_machine);
    if (header.e_type != ET_EXEC)
        return bad(reader, "is no executable at fixed addresses (ET_EXEC)");
    if (header.e_version != EV_CURRENT)
        return bad(reader, "has no known ELF version");
    /* Not elf_getphdrnum, which counts only those that are in the file. */
    reader->headers = header.e_phnum;
    if (reader->headers == 0)
        return bad(reader, "has no program headers");
    if (header.e_phentsize != sizeof(Elf64_Phdr))
        return error_set(reader->error, EINVAL, "%s: program headers of %u bytes, not %zu",
                         reader->image->path, header.e_phentsize, sizeof(Elf64_Phdr));
    if (reader->headers > ELF_IMAGE_HEADERS)
        return error_set(reader->error, EINVAL, "%s: has %u program headers, more than %u",
                         reader->image->path, reader->headers, ELF_IMAGE_HEADERS);
    if (!in_file(reader->image, header.e_phoff, reader->headers * sizeof(Elf64_Phdr)))
        return bad(reader, "is cut off in the program headers");
    return 0;
}

static int add_segment(struct reader *reader, unsigned int number, const GElf_Phdr *header)
{
    struct elf_image *image = reader->image;
    unsigned int place;

    if (header->p_filesz > header->p_memsz)
        return bad_segment(reader, number, "is larger in the file than in memory");
    if (header->p_memsz == 0)
        return 0;
    if (header->p_filesz && !in_file(image, header->p_offset, header->p_filesz))
        return bad_segment(reader, number, "reaches past the end of the file");
    if (header->p_memsz > UINT64_MAX - header->p_paddr)
        return bad_segment(reader, number, "reaches past the end of the address space");
    if (header->p_paddr < ELF_IMAGE_LOWEST)
        return error_set(reader->error, EINVAL,
                         "%s: segment %u: starts at %#llx, below %#llx, which the boot information "
                         "needs",
                         image->path, number, (ull)header->p_paddr, ELF_IMAGE_LOWEST);
    if (image->segment_count == ELF_IMAGE_SEGMENTS)
        return error_set(reader->error, EINVAL, "%s: segment %u: is one more than the limit of %u",
                         image->path, number, ELF_IMAGE_SEGMENTS);
    for (place = image->segment_count; place > 0; place--) {
        if (image->segment[place - 1].address <= header->p_paddr)
            break;
        image->segment[place] = image->segment[place - 1];
    }
    image->segment[place] =
        (struct elf_segment){.number = number,
                             .address = header->p_paddr,
                             /* Without content it may be anything. */
                             .file_offset = header->p_filesz ? header->p_offset : 0,
                             .file_size = header->p_filesz,
                             .memory_size = header->p_memsz};
    image->segment_count++;
    return 0;
}

/* XEN_ELFNOTE_PHYS32_ENTRY, the first one that there is. */
static int take_note(struct reader *reader, unsigned int number, const GElf_Nhdr *note,
                     const char *name, const void *descriptor)
{
    uint32_t short_entry;

    if (reader->has_entry || note->n_type != MEZZ_PVH_NOTE_TYPE ||
        note->n_namesz != sizeof(MEZZ_PVH_NOTE_NAME) ||
        memcmp(name, MEZZ_PVH_NOTE_NAME, sizeof(MEZZ_PVH_NOTE_NAME)) != 0)
        return 0;
    if (note->n_descsz == sizeof(short_entry)) {
        memcpy(&short_entry, descriptor, sizeof(short_entry));
        reader->entry = short_entry;
    } else if (note->n_descsz == sizeof(reader->entry)) {
        memcpy(&reader->entry, descriptor, sizeof(reader->entry));
    } else {
        return error_set(reader->error, EINVAL,
                         "%s: segment %u: a PVH entry note of %u bytes, not 4 or 8",
                         reader->image->path, number, note->n_descsz);
    }
    reader->has_entry = true;
    return 0;
}

static int read_notes(struct reader *reader, unsigned int number, const GElf_Phdr *header)
{
    const Elf_Type type = header->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR;
    Elf_Data *data;
    GElf_Nhdr note;
    size_t offset = 0;
    size_t name;
    size_t descriptor;
    int code = 0;

    if (header->p_filesz == 0)
        return 0;
    if (!in_file(reader->image, header->p_offset, header->p_filesz))
        return bad_segment(reader, number, "(notes) reaches past the end of the file");
    if (header->p_filesz > NOTES_LIMIT)
        return bad_segment(reader, number, "has more than 64 KiB of notes");
    data = elf_getdata_rawchunk(reader->elf, (int64_t)header->p_offset, header->p_filesz, type);
    if (data == NULL)
        return bad_segment(reader, number, elf_errmsg(-1));
    while (code == 0 && !reader->has_entry) {
        offset = gelf_getnote(data, offset, &note, &name, &descriptor);
        if (offset == 0)
            break;
        code = take_note(reader, number, &note, (const char *)data->d_buf + name,
                         (const char *)data->d_buf + descriptor);
    }
    return code;
}

static int read_headers(struct reader *reader)
{
    GElf_Phdr header;
    int code = 0;

    for (unsigned int number = 0; number < reader->headers && code == 0; number++) {
        if (gelf_getphdr(reader->elf, (int)number, &header) == NULL)
            return bad_segment(reader, number, elf_errmsg(-1));
        if (header.p_type == PT_LOAD)
            code = add_segment(reader, number, &header);
        else if (header.p_type == PT_NOTE)
            code = read_notes(reader, number, &header);
    }
    return code;
}

static int check_overlaps(struct reader *reader)
{
    struct elf_image *image = reader->image;

    if (image->segment_count == 0)
        return bad(reader, "has no segment to load");
    for (unsigned int i = 1; i < image->segment_count; i++) {
        const struct elf_segment *low = &image->segment[i - 1];
        const struct elf_segment *high = &image->segment[i];

        if (low->address + low->memory_size > high->address)
            return error_set(reader->error, EINVAL, "%s: segment %u: overlaps segment %u",
                             image->path, high->number, low->number);
    }
    image->end = image->segment[image->segment_count - 1].address +
                 image->segment[image->segment_count - 1].memory_size;
    return 0;
}

static int check_entry(struct reader *reader)
{
    struct elf_image *image = reader->image;

    if (!reader->has_entry)
        return bad(reader, "has no PVH entry (note \"Xen\", type 18)");
    for (unsigned int i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segment[i];

        if (reader->entry <= UINT32_MAX && reader->entry >= segment->address &&
            reader->entry - segment->address < segment->file_size) {
            image->entry = (uint32_t)reader->entry;
            return 0;
        }
    }
    return error_set(reader->error, EINVAL,
                     "%s: the PVH entry %#llx is in no segment's part of the file", image->path,
                     (ull)reader->entry);
}

static int read_file(struct elf_image *image, struct error *error)
{
    struct input_file file;
    int code;

    code = input_file_open(&file, image->path, error);
    if (code)
        return code;
    image->file_size = file.size;
    image->file = malloc(file.size);
    if (image->file == NULL)
        code =
            error_set(error, ENOMEM, "%s: no memory for %llu bytes", image->path, (ull)file.size);
    else
        code = input_file_read(&file, image->file, error);
    input_file_close(&file);
    return code;
}

static int read_elf(struct reader *reader)
{
    int code;

    elf_version(EV_CURRENT);
    reader->elf = elf_memory((char *)reader->image->file, reader->image->file_size);
    if (reader->elf == NULL)
        return bad(reader, elf_errmsg(-1));
    code = check_header(reader);
    if (code == 0)
        code = read_headers(reader);
    if (code == 0)
        code = check_overlaps(reader);
    if (code == 0)
        code = check_entry(reader);
    elf_end(reader->elf);
    return code;
}

int elf_image_open(struct elf_image *image, const char *path, struct error *error)
{
    struct reader reader = {.image = image, .error = error};
    int code;

    *image = (struct elf_image){.path = path};
    code = read_file(image, error);
    if (code == 0)
        code = check_ident(&reader);
    if (code == 0)
        code = read_elf(&reader);
    if (code)
        elf_image_close(image);
    return code;
}

int elf_image_fits(const struct elf_image *image, uint64_t size, struct error *error)
{
    for (unsigned int i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segment[i];

        if (segment->address > size || segment->memory_size > size - segment->address)
            return error_set(error, EINVAL,
                             "%s: segment %u: [%#llx, %#llx) is outside the memory of %llu KiB",
                             image->path, segment->number, (ull)segment->address,
                             (ull)(segment->address + segment->memory_size), (ull)(size >> 10));
    }
    return 0;
}

int elf_image_load(const struct elf_image *image, const struct l1_memory *l1, struct error *error)
{
    int code = elf_image_fits(image, l1->size, error);

    if (code)
        return code;
    for (unsigned int i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segment[i];
        uint8_t *to = l1_pointer(l1, l1_at(segment->address), segment->memory_size);

        memcpy(to, image->file + segment->file_offset, segment->file_size);
        memset(to + segment->file_size, 0, segment->memory_size - segment->file_size);
    }
    return 0;
}

void elf_image_close(struct elf_image *image)
{
    free(image->file);
    image->file = NULL;
}
