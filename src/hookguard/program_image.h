/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_PROGRAM_IMAGE_H
#define HOOKGUARD_PROGRAM_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/error.h"

/*
 * A guest's program as its ELF file describes it: what lies where, and what it is called. An ELF64
 * executable for x86-64 at fixed addresses. The file may be hostile: everything is checked before
 * it is used. Rights are MEZZ_EPT_READ, _WRITE, _EXECUTE.
 */
#define PROGRAM_SEGMENTS_LIMIT 32U
#define PROGRAM_SECTIONS_LIMIT 1024U
#define PROGRAM_SYMBOLS_LIMIT  65536U

struct program_segment {
    uint64_t address;
    uint64_t length;      /* in memory, not 0 */
    uint64_t file_length; /* the rest is zero */
    const uint8_t *bytes;
    uint32_t rights;
};

struct program_section {
    const char *name;
    uint64_t address;
    uint64_t length;
    bool code;
};

struct program_symbol {
    const char *name;
    uint64_t address;
    uint64_t length; /* may be 0 */
    bool code;       /* in a section of code */
    bool data;       /* called data (STT_OBJECT), wherever it lies */
};

struct program_image {
    char *name; /* of the program, for messages */
    uint8_t *file;
    size_t file_size;
    void *elf; /* owns the names */
    struct program_segment segment[PROGRAM_SEGMENTS_LIMIT];
    size_t segments;
    struct program_section *section; /* that are in memory */
    size_t sections;
    struct program_symbol *symbol; /* by address; defined, named, in a segment */
    size_t symbols;                /* 0: a stripped file */
};

/* Copies the bytes. "NAME: what is wrong": -EINVAL, -ENOMEM. */
int program_image_open(struct program_image *image, const char *name, const void *bytes,
                       size_t size, struct error *error);
void program_image_close(struct program_image *image);

/* The segment that has all of [address, address + length), or NULL. */
const struct program_segment *program_segment_of(const struct program_image *image,
                                                 uint64_t address, uint64_t length);

/* How many of this name there are (files may each have a static one); *symbol is the first. */
size_t program_find_symbol(const struct program_image *image, const char *name,
                           const struct program_symbol **symbol);
size_t program_find_section(const struct program_image *image, const char *name,
                            const struct program_section **section);

/* The symbol that has the address, or a label of assembly before it; NULL.
 */
const struct program_symbol *program_symbol_at(const struct program_image *image, uint64_t address);

/* Whether anything lies on the page at this address. */
bool program_lies_at(const struct program_image *image, uint64_t page);

/* What the page at this address holds when the program starts; zero where nothing is loaded. */
void program_page(const struct program_image *image, uint64_t address, uint8_t *to);

#endif
