/* SPDX-License-Identifier: Apache-2.0 */
#include "hookguard/program_image.h"

#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "host/memory.h"
#include "mezz/ept.h"

static int bad(const struct program_image *image, struct error *error, const char *what)
{
    return error_set(error, EINVAL, "%s: %s", image->name, what);
}

static int check_header(struct program_image *image, struct error *error)
{
    GElf_Ehdr header;

    if (image->file_size < EI_NIDENT || memcmp(image->file, ELFMAG, SELFMAG) != 0)
        return bad(image, error, "is no ELF file");
    if (image->file[EI_CLASS] != ELFCLASS64 || image->file[EI_DATA] != ELFDATA2LSB)
        return bad(image, error, "is no 64-bit little-endian ELF file");
    elf_version(EV_CURRENT);
    image->elf = elf_memory((char *)image->file, image->file_size);
    if (image->elf == NULL || gelf_getehdr(image->elf, &header) == NULL)
        return bad(image, error, elf_errmsg(-1));
    if (header.e_machine != EM_X86_64)
        return bad(image, error, "is not for x86-64");
    if (header.e_type != ET_EXEC)
        return bad(image, error, "is no executable at fixed addresses (ET_EXEC)");
    return 0;
}

static uint32_t rights_of(const GElf_Phdr *header)
{
    return (uint32_t)((header->p_flags & PF_R ? MEZZ_EPT_READ : 0) |
                      (header->p_flags & PF_W ? MEZZ_EPT_WRITE : 0) |
                      (header->p_flags & PF_X ? MEZZ_EPT_EXECUTE : 0));
}

static int add_segment(struct program_image *image, const GElf_Phdr *header, struct error *error)
{
    if (header->p_memsz == 0)
        return 0;
    if (image->segments == PROGRAM_SEGMENTS_LIMIT)
        return bad(image, error, "has too many segments");
    if (header->p_filesz > header->p_memsz || header->p_offset > image->file_size ||
        header->p_filesz > image->file_size - header->p_offset)
        return bad(image, error, "has a segment that reaches past the end of the file");
    if (header->p_memsz > UINT64_MAX - PAGE_SIZE - header->p_vaddr)
        return bad(image, error, "has a segment that reaches past the end of the address space");
    image->segment[image->segments++] = (struct program_segment){
        .address = header->p_vaddr,
        .length = header->p_memsz,
        .file_length = header->p_filesz,
        .bytes = image->file + header->p_offset,
        .rights = rights_of(header),
    };
    return 0;
}

static int read_segments(struct program_image *image, struct error *error)
{
    GElf_Phdr header;
    size_t count;
    int code = 0;

    if (elf_getphdrnum(image->elf, &count) != 0)
        return bad(image, error, elf_errmsg(-1));
    for (size_t i = 0; i < count && i <= INT16_MAX && code == 0; i++) {
        if (gelf_getphdr(image->elf, (int)i, &header) == NULL)
            return bad(image, error, elf_errmsg(-1));
        if (header.p_type == PT_LOAD)
            code = add_segment(image, &header, error);
    }
    if (code == 0 && image->segments == 0)
        return bad(image, error, "has no segment to load");
    return code;
}

static int read_sections(struct program_image *image, struct error *error)
{
    size_t names;
    Elf_Scn *section = NULL;

    if (elf_getshdrstrndx(image->elf, &names) != 0)
        return bad(image, error, elf_errmsg(-1));
    image->section = calloc(PROGRAM_SECTIONS_LIMIT, sizeof(*image->section));
    if (image->section == NULL)
        return error_set(error, ENOMEM, "%s: no memory for its sections", image->name);
    while ((section = elf_nextscn(image->elf, section)) != NULL) {
        GElf_Shdr header;
        const char *name;

        if (gelf_getshdr(section, &header) == NULL)
            return bad(image, error, elf_errmsg(-1));
        if (!(header.sh_flags & SHF_ALLOC) || header.sh_size == 0 || header.sh_flags & SHF_TLS)
            continue;
        name = elf_strptr(image->elf, names, header.sh_name);
        if (name == NULL)
            return bad(image, error, "has a section without a name");
        if (image->sections == PROGRAM_SECTIONS_LIMIT)
            return bad(image, error, "has too many sections");
        image->section[image->sections++] = (struct program_section){
            name, header.sh_addr, header.sh_size, (header.sh_flags & SHF_EXECINSTR) != 0};
    }
    return 0;
}

static void add_symbol(struct program_image *image, const GElf_Sym *symbol, const char *name)
{
    unsigned int type = GELF_ST_TYPE(symbol->st_info);
    GElf_Shdr header;
    Elf_Scn *section;

    /* Of other images (--just-symbols) and of the linker are absolute. */
    if (name == NULL || name[0] == '\0' || symbol->st_shndx == SHN_UNDEF ||
        symbol->st_shndx >= SHN_LORESERVE ||
        (type != STT_FUNC && type != STT_OBJECT && type != STT_NOTYPE) ||
        program_segment_of(image, symbol->st_value, symbol->st_size) == NULL)
        return;
    section = elf_getscn(image->elf, symbol->st_shndx);
    if (section == NULL || gelf_getshdr(section, &header) == NULL ||
        symbol->st_value < header.sh_addr || symbol->st_value - header.sh_addr >= header.sh_size)
        return;
    image->symbol[image->symbols++] =
        (struct program_symbol){name, symbol->st_value, symbol->st_size,
                                (header.sh_flags & SHF_EXECINSTR) != 0, type == STT_OBJECT};
}

static int by_address(const void *left, const void *right)
{
    const struct program_symbol *a = left;
    const struct program_symbol *b = right;

    if (a->address != b->address)
        return a->address < b->address ? -1 : 1;
    return a->length != b->length ? (a->length > b->length ? -1 : 1) : strcmp(a->name, b->name);
}

static int read_symbols(struct program_image *image, struct error *error)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    Elf_Data *data = NULL;
    size_t count = 0;

    while (data == NULL && (section = elf_nextscn(image->elf, section)) != NULL)
        if (gelf_getshdr(section, &header) != NULL && header.sh_type == SHT_SYMTAB)
            data = elf_getdata(section, NULL);
    if (data != NULL)
        count = data->d_size / sizeof(Elf64_Sym);
    if (count > PROGRAM_SYMBOLS_LIMIT)
        return bad(image, error, "has too many symbols");
    image->symbol = calloc(count + 1, sizeof(*image->symbol));
    if (image->symbol == NULL)
        return error_set(error, ENOMEM, "%s: no memory for its symbols", image->name);
    for (size_t i = 0; i < count; i++) {
        GElf_Sym symbol;

        if (gelf_getsym(data, (int)i, &symbol) != NULL)
            add_symbol(image, &symbol, elf_strptr(image->elf, header.sh_link, symbol.st_name));
    }
    qsort(image->symbol, image->symbols, sizeof(*image->symbol), by_address);
    return 0;
}

int program_image_open(struct program_image *image, const char *name, const void *bytes,
                       size_t size, struct error *error)
{
    int code;

    *image = (struct program_image){.name = strdup(name), .file = malloc(size + 1)};
    if (image->name == NULL || image->file == NULL) {
        program_image_close(image);
        return error_set(error, ENOMEM, "%s: no memory for %zu bytes", name, size);
    }
    memcpy(image->file, bytes, size);
    image->file_size = size;
    code = check_header(image, error);
    if (code == 0)
        code = read_segments(image, error);
    if (code == 0)
        code = read_sections(image, error);
    if (code == 0)
        code = read_symbols(image, error);
    if (code != 0)
        program_image_close(image);
    return code;
}

void program_image_close(struct program_image *image)
{
    if (image->elf != NULL)
        elf_end(image->elf);
    free(image->symbol);
    free(image->section);
    free(image->file);
    free(image->name);
    *image = (struct program_image){.name = NULL};
}

const struct program_segment *program_segment_of(const struct program_image *image,
                                                 uint64_t address, uint64_t length)
{
    for (size_t i = 0; i < image->segments; i++) {
        const struct program_segment *segment = &image->segment[i];

        if (address >= segment->address && address - segment->address < segment->length &&
            length <= segment->length - (address - segment->address))
            return segment;
    }
    return NULL;
}

size_t program_find_symbol(const struct program_image *image, const char *name,
                           const struct program_symbol **symbol)
{
    size_t found = 0;

    for (size_t i = 0; i < image->symbols; i++)
        if (strcmp(image->symbol[i].name, name) == 0 && found++ == 0)
            *symbol = &image->symbol[i];
    return found;
}

size_t program_find_section(const struct program_image *image, const char *name,
                            const struct program_section **section)
{
    size_t found = 0;

    for (size_t i = 0; i < image->sections; i++)
        if (strcmp(image->section[i].name, name) == 0 && found++ == 0)
            *section = &image->section[i];
    return found;
}

const struct program_symbol *program_symbol_at(const struct program_image *image, uint64_t address)
{
    size_t low = 0;
    size_t high = image->symbols;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (image->symbol[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low > 0; low--) {
        const struct program_symbol *symbol = &image->symbol[low - 1];

        /* Labels of assembly have no length: they reach to the next one. */
        if (address - symbol->address < symbol->length || (symbol->length == 0 && symbol->code))
            return symbol;
        if (address - symbol->address > PAGE_SIZE)
            break;
    }
    return NULL;
}

bool program_lies_at(const struct program_image *image, uint64_t page)
{
    for (size_t i = 0; i < image->segments; i++)
        if (image->segment[i].address < page + PAGE_SIZE &&
            page < image->segment[i].address + image->segment[i].length)
            return true;
    return false;
}

void program_page(const struct program_image *image, uint64_t address, uint8_t *to)
{
    memset(to, 0, PAGE_SIZE);
    for (size_t i = 0; i < image->segments; i++) {
        const struct program_segment *segment = &image->segment[i];
        uint64_t end = segment->address + segment->file_length;
        uint64_t from = segment->address > address ? segment->address : address;

        if (end > address + PAGE_SIZE)
            end = address + PAGE_SIZE;
        if (from < end)
            memcpy(to + (from - address), segment->bytes + (from - segment->address), end - from);
    }
}
