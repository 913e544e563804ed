/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_PORTIONS_PARTS_H
#define HOOKGUARD_PORTIONS_PARTS_H

#include "hookguard/portions/portions.h"

/* Between portions.c, parts.c and entries.c: from names to bytes to pages. */

struct portion_reader {
    const struct program_image *image;
    struct error *error;
};

struct byte_range {
    uint64_t address;
    uint64_t end;
    uint32_t rights;
};

struct byte_ranges {
    struct byte_range *range; /* by address */
    size_t count;
};

/* Finds each part. *ranges is freed by the caller, also after a failure. */
int portion_find_parts(const struct portion_reader *reader, const struct portion_parts *parts,
                       struct byte_ranges *ranges);

/* A symbol by its name: there, and only once. */
int portion_find_symbol(const struct portion_reader *reader, const char *name,
                        const struct program_symbol **symbol);

/* Widens to pages, neighbours with equal rights in one. The array is malloc'd. */
int portion_make_pages(const struct portion_reader *reader, const struct byte_ranges *ranges,
                       struct portion_pages **pages, size_t *count);

/* That nothing but the declared bytes lies on these pages. */
int portion_check_alone(const struct portion_reader *reader, const struct byte_ranges *ranges,
                        const struct portion_pages *pages, size_t count);

/* The entry points, which have to be in the declared code and, by address, where an instruction
 * begins. */
int portion_find_entries(const struct portion_reader *reader, struct portion *portion,
                         const struct portion_declaration *declaration,
                         const struct byte_ranges *declared);

#endif
