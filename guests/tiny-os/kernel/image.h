/* SPDX-License-Identifier: Apache-2.0 */
/* Program files: where they are, and which segments of them go where. */
#ifndef TINY_KERNEL_IMAGE_H
#define TINY_KERNEL_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#define IMAGE_MAX         32
#define IMAGE_COMMAND_MAX 256
#define IMAGE_SEGMENT_MAX 8

struct image {
    const uint8_t *bytes; /* in the direct map */
    uint64_t paddr;       /* of bytes: whole pages of it can be mapped in place if aligned */
    uint64_t size;
    const char *command; /* the name, then arguments; shorter than IMAGE_COMMAND_MAX */
};

struct segment {
    uint64_t vaddr, memory_size, file_offset, file_size;
    bool writable, executable;
};

struct plan {
    uint64_t entry;
    unsigned n;
    struct segment segments[IMAGE_SEGMENT_MAX];
};

/*
 * Decodes an ELF64 file all of whose segments must be inside [start, end). NULL, or why it is
 * refused. Nothing has been allocated then, and carrying out the plan needs no more checks.
 */
const char *image_plan(const struct image *image, uint64_t start, uint64_t end, struct plan *plan);

/* Where its first segment belongs; 0: this is no program. */
uint64_t image_start(const struct image *image);

/*
 * The programs in a newc cpio archive (QEMU has only one module), appended to images; bytes of one
 * that is not page-aligned will be copied instead of mapped. False if this is no such archive.
 */
bool archive_open(const struct image *archive, struct image *images, unsigned *n);

#endif
