/* SPDX-License-Identifier: Apache-2.0 */
#include "unit_portions_builder.h"

#include <string.h>

#define SEGMENTS 4
#define SECTIONS 11
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
    uint64_t address, length;
    uint32_t flags;
} segments[SEGMENTS] = {{0x401000, 0x3000, PF_R | PF_X},
                        {0x404000, 0x1000, PF_R},
                        {0x405000, 0x3000, PF_R | PF_W},
                        {0x40a000, 0x1000, PF_R | PF_W | PF_X}};

static const struct {
    const char *name;
    uint64_t address, length, flags;
} sections[] = {
    {".text", 0x401000, 0x800, SHF_ALLOC | SHF_EXECINSTR},
    {".vault", 0x402000, 0x1040, SHF_ALLOC | SHF_EXECINSTR},
    {".rodata", 0x404000, 0x200, SHF_ALLOC},
    {".data", 0x405000, 0x1000, SHF_ALLOC | SHF_WRITE},
    {".secret", 0x406000, 0x1000, SHF_ALLOC | SHF_WRITE},
    {".bss", 0x407000, 0x1000, SHF_ALLOC | SHF_WRITE},
    {".jit", 0x40a000, 0x100, SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR},
};

static const struct {
    const char *name;
    uint64_t address, length;
    unsigned int section; /* in sections[]; 99: absolute */
    unsigned int type;
} symbols[] = {
    {"main", 0x401000, 0x100, 0, STT_FUNC},       {"helper", 0x401100, 0x80, 0, STT_FUNC},
    {"label", 0x401200, 0, 0, STT_NOTYPE},        {"twice", 0x401300, 0x20, 0, STT_FUNC},
    {"twice", 0x401340, 0x20, 0, STT_FUNC},       {"sign", 0x402000, 0x40, 1, STT_FUNC},
    {"check", 0x402040, 0x40, 1, STT_FUNC},       {"inner", 0x402080, 0x20, 1, STT_FUNC},
    {"nothing", 0x4020c0, 0, 1, STT_FUNC},        {"beyond", 0x403000, 0x40, 1, STT_FUNC},
    {"message", 0x404100, 0x10, 2, STT_OBJECT},   {"counter", 0x405000, 8, 3, STT_OBJECT},
    {"key", 0x406000, 0x20, 4, STT_OBJECT},       {"buffer", 0x407000, 0x100, 5, STT_OBJECT},
    {"_end", 0x407100, 0, 5, STT_NOTYPE},         {"jit", 0x40a000, 0x100, 6, STT_FUNC},
    {"api_open", 0x10000000, 0x40, 99, STT_FUNC},
};

static struct {
    Elf64_Ehdr header;
    Elf64_Phdr segment[SEGMENTS];
    Elf64_Sym symbol[COUNT(symbols) + 1];
    char names[512];
    Elf64_Shdr section[SECTIONS]; /* nothing, those in memory, symbols, names, names again */
    uint8_t first[BUILT_FIRST];
    uint8_t others[SEGMENTS - 1][BUILT_FILE];
} file;
_Static_assert(SECTIONS == COUNT(sections) + 4, "sections");

static size_t names_used;

static uint32_t name(const char *text)
{
    size_t at = names_used;

    memcpy(file.names + at, text, strlen(text) + 1);
    names_used += strlen(text) + 1;
    return (uint32_t)at;
}

static uint64_t offset_of(const void *part)
{
    return (uint64_t)((const uint8_t *)part - (const uint8_t *)&file);
}

static void add_segments(void)
{
    for (size_t i = 0; i < SEGMENTS; i++) {
        uint8_t *bytes = i == 0 ? file.first : file.others[i - 1];
        size_t length = i == 0 ? BUILT_FIRST : BUILT_FILE;

        for (size_t j = 0; j < length; j++)
            bytes[j] = built_byte(i, j);
        file.segment[i] = (Elf64_Phdr){.p_type = PT_LOAD,
                                       .p_flags = segments[i].flags,
                                       .p_offset = offset_of(bytes),
                                       .p_vaddr = segments[i].address,
                                       .p_filesz = length,
                                       .p_memsz = segments[i].length,
                                       .p_align = 4096};
    }
}

static void add_sections(int stripped)
{
    for (size_t i = 0; i < COUNT(sections); i++)
        file.section[i + 1] = (Elf64_Shdr){.sh_name = name(sections[i].name),
                                           .sh_type = SHT_NOBITS,
                                           .sh_flags = sections[i].flags,
                                           .sh_addr = sections[i].address,
                                           .sh_size = sections[i].length};
    for (size_t i = 0; i < COUNT(symbols); i++) {
        unsigned int section = symbols[i].section;

        file.symbol[i + 1] =
            (Elf64_Sym){.st_name = name(symbols[i].name),
                        .st_info = (unsigned char)ELF64_ST_INFO(STB_GLOBAL, symbols[i].type),
                        .st_shndx = (uint16_t)(section == 99 ? SHN_ABS : section + 1),
                        .st_value = symbols[i].address,
                        .st_size = symbols[i].length};
    }
    file.section[8] = (Elf64_Shdr){.sh_name = name(".symtab"),
                                   .sh_type = stripped ? SHT_NULL : SHT_SYMTAB,
                                   .sh_offset = offset_of(file.symbol),
                                   .sh_size = sizeof(file.symbol),
                                   .sh_link = 9,
                                   .sh_info = 1,
                                   .sh_addralign = 8,
                                   .sh_entsize = sizeof(Elf64_Sym)};
    file.section[9] = (Elf64_Shdr){.sh_name = name(".strtab"),
                                   .sh_type = SHT_STRTAB,
                                   .sh_offset = offset_of(file.names),
                                   .sh_size = sizeof(file.names),
                                   .sh_addralign = 1};
    file.section[10] = file.section[9];
}

const uint8_t *built_program(int stripped, size_t *size)
{
    memset(&file, 0, sizeof(file));
    names_used = 1;
    memcpy(file.header.e_ident, ELFMAG, SELFMAG);
    file.header.e_ident[EI_CLASS] = ELFCLASS64;
    file.header.e_ident[EI_DATA] = ELFDATA2LSB;
    file.header.e_ident[EI_VERSION] = EV_CURRENT;
    file.header.e_type = ET_EXEC;
    file.header.e_machine = EM_X86_64;
    file.header.e_version = EV_CURRENT;
    file.header.e_phoff = offset_of(file.segment);
    file.header.e_shoff = offset_of(file.section);
    file.header.e_ehsize = sizeof(Elf64_Ehdr);
    file.header.e_phentsize = sizeof(Elf64_Phdr);
    file.header.e_phnum = SEGMENTS;
    file.header.e_shentsize = sizeof(Elf64_Shdr);
    file.header.e_shnum = SECTIONS;
    file.header.e_shstrndx = 10;
    add_segments();
    add_sections(stripped);
    *size = sizeof(file);
    return (const uint8_t *)&file;
}
