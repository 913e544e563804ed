/* SPDX-License-Identifier: Apache-2.0 */
#include "elf_builder.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILES 8

static struct {
    int descriptor; /* 0: none yet */
    char path[32];
} files[FILES];

static unsigned int last;

void elf_file_init(struct elf_file *file)
{
    memset(file, 0, sizeof(*file));
    memcpy(file->header.e_ident, ELFMAG, SELFMAG);
    file->header.e_ident[EI_CLASS] = ELFCLASS64;
    file->header.e_ident[EI_DATA] = ELFDATA2LSB;
    file->header.e_ident[EI_VERSION] = EV_CURRENT;
    file->header.e_type = ET_EXEC;
    file->header.e_machine = EM_X86_64;
    file->header.e_version = EV_CURRENT;
    file->header.e_phoff = BUILDER_HEADERS;
    file->header.e_ehsize = sizeof(Elf64_Ehdr);
    file->header.e_phentsize = sizeof(Elf64_Phdr);
    file->header.e_phnum = 3;
    file->segment[0] = (Elf64_Phdr){.p_type = PT_NOTE,
                                    .p_offset = BUILDER_NOTE,
                                    .p_filesz = sizeof(Elf64_Nhdr) + 8,
                                    .p_memsz = sizeof(Elf64_Nhdr) + 8,
                                    .p_align = 4};
    file->segment[1] = (Elf64_Phdr){.p_type = PT_LOAD,
                                    .p_flags = PF_R | PF_X,
                                    .p_offset = BUILDER_TEXT,
                                    .p_vaddr = 0xffffffff80000000 + BUILDER_TEXT_AT,
                                    .p_paddr = BUILDER_TEXT_AT,
                                    .p_filesz = sizeof(file->text),
                                    .p_memsz = BUILDER_TEXT_END - BUILDER_TEXT_AT,
                                    .p_align = 4096};
    file->segment[2] = file->segment[1];
    file->segment[2].p_flags = PF_R | PF_W;
    file->segment[2].p_offset = BUILDER_DATA;
    file->segment[2].p_paddr = BUILDER_DATA_AT;
    file->segment[2].p_filesz = sizeof(file->data);
    file->segment[2].p_memsz = BUILDER_END - BUILDER_DATA_AT;
    file->note = (Elf64_Nhdr){.n_namesz = 4, .n_descsz = 4, .n_type = 18};
    memcpy(file->note_name, "Xen", 4);
    file->note_entry = BUILDER_ENTRY;
    memset(file->text, 0x90, sizeof(file->text));
    memset(file->data, 0xda, sizeof(file->data));
}

static const char *new_file(void)
{
    last = (last + 1) % FILES;
    if (files[last].descriptor > 0)
        close(files[last].descriptor);
    files[last].descriptor = memfd_create("image", MFD_CLOEXEC);
    ck_assert_int_gt(files[last].descriptor, 0);
    snprintf(files[last].path, sizeof(files[last].path), "/proc/self/fd/%d",
             files[last].descriptor);
    return files[last].path;
}

const char *elf_file_path(const void *bytes, size_t size)
{
    const char *path = new_file();

    ck_assert_int_eq(write(files[last].descriptor, bytes, size), (ssize_t)size);
    return path;
}

const char *elf_file_sparse(size_t size)
{
    const char *path = new_file();

    ck_assert_int_eq(ftruncate(files[last].descriptor, (off_t)size), 0);
    return path;
}

int elf_file_descriptor(void)
{
    return files[last].descriptor;
}
