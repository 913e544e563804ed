/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_IMAGE_H
#define L1_IMAGE_H

#include <stdint.h>

/* An L2's kernel: an ELF64 file with a PVH entry. Nothing in it is trusted. */

#define IMAGE_SEGMENTS 16U

struct image_segment {
    uint64_t gpa;       /* L2-physical */
    uint64_t file;      /* where its file_size bytes lie in L1's memory */
    uint64_t file_size; /* at most memory_size */
    uint64_t memory_size;
};

struct image {
    uint64_t entry;
    uint64_t end; /* the first L2-physical address behind all segments */
    unsigned int segment_count;
    struct image_segment segment[IMAGE_SEGMENTS]; /* ascending, none overlaps another */
};

/* Reads the file of size bytes at file for an L2 with that much memory. NULL, or what is wrong. */
const char *image_read(struct image *image, uint64_t file, uint64_t size, uint64_t memory);

#endif
