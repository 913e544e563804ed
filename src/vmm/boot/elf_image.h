/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_ELF_IMAGE_H
#define VMM_ELF_IMAGE_H

#include <stdint.h>

#include "host/error.h"
#include "host/memory.h"

/*
 * A kernel image: an ELF64 executable for x86-64 with a PVH entry (Xen's x86/HVM direct boot ABI:
 * the note XEN_ELFNOTE_PHYS32_ENTRY, name "Xen", type 18, a physical address of 4 or 8 bytes).
 * Segments are placed at their physical addresses (p_paddr).
 *
 * Opening reads the file once into private memory and validates that copy; loading validates it
 * against a memory and then writes without a way to fail. An error is one line that names the file
 * and, where there is one, the segment by its number in the program header table (readelf -l counts
 * in the same way, from 0). Codes: -EINVAL for a bad image, -ENOMEM, and input_file.h's.
 */

/* Program headers of all kinds; loaded segments among them. */
#define ELF_IMAGE_HEADERS  64U
#define ELF_IMAGE_SEGMENTS 32U

/* Nothing is loaded below: boot.h keeps the start info there. */
#define ELF_IMAGE_LOWEST 0x10000ULL

struct elf_segment {
    unsigned int number;  /* in the program header table */
    uint64_t address;     /* physical */
    uint64_t file_offset; /* bytes */
    uint64_t file_size;   /* bytes; the rest of memory_size is zeroed */
    uint64_t memory_size; /* bytes, not 0 */
};

struct elf_image {
    const char *path;                               /* borrowed: outlives this structure */
    uint8_t *file;                                  /* the private copy */
    uint64_t file_size;                             /* bytes */
    struct elf_segment segment[ELF_IMAGE_SEGMENTS]; /* by address; they do not overlap */
    unsigned int segment_count;                     /* at least 1 */
    uint32_t entry; /* physical; in the part of a segment that comes from the file */
    uint64_t end;   /* behind the highest byte used */
};

int elf_image_open(struct elf_image *image, const char *path, struct error *error);

/* Whether every segment lies in a memory of `size` bytes from address 0 on. For the image of an L2,
 * which L1 loads by itself, this and elf_image_open are the early check. */
int elf_image_fits(const struct elf_image *image, uint64_t size, struct error *error);

/* Writes the segments. Nothing is written if it fails. */
int elf_image_load(const struct elf_image *image, const struct l1_memory *l1, struct error *error);

void elf_image_close(struct elf_image *image);

#endif
