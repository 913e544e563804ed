/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ELF_BUILDER_H
#define TESTS_ELF_BUILDER_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A small and valid image, to be spoilt: an ELF header, three program headers (0 notes, 1 and 2
 * segments), a PVH note, and the two segments' bytes. It is written to a file without a name in
 * any directory, so nothing is left behind.
 */
#define BUILDER_HEADERS  sizeof(Elf64_Ehdr)
#define BUILDER_NOTE     (BUILDER_HEADERS + 3 * sizeof(Elf64_Phdr))
#define BUILDER_TEXT     256U
#define BUILDER_DATA     768U
#define BUILDER_SIZE     1024U

#define BUILDER_TEXT_AT  0x100000U
#define BUILDER_TEXT_END 0x102000U
#define BUILDER_DATA_AT  0x200000U
#define BUILDER_END      0x201000U
#define BUILDER_ENTRY    0x100010U

/* One after another in the file, so no padding. */
struct elf_file {
    Elf64_Ehdr header;
    Elf64_Phdr segment[3];
    Elf64_Nhdr note;
    char note_name[4];
    uint32_t note_entry;
    uint8_t padding[BUILDER_TEXT - BUILDER_NOTE - sizeof(Elf64_Nhdr) - 8];
    uint8_t text[BUILDER_DATA - BUILDER_TEXT];
    uint8_t data[BUILDER_SIZE - BUILDER_DATA];
};
_Static_assert(sizeof(struct elf_file) == BUILDER_SIZE, "the image has holes");

void elf_file_init(struct elf_file *file);

/* A file with these bytes; its path is valid for the next 7 calls. Fails the test when it fails. */
const char *elf_file_path(const void *bytes, size_t size);

/* A file of this many zero bytes, which take no room. */
const char *elf_file_sparse(size_t size);

/* The descriptor of the file that was made last. */
int elf_file_descriptor(void);

#endif
