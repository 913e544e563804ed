/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_PORTIONS_BUILDER_H
#define TESTS_UNIT_PORTIONS_BUILDER_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A program with sections and symbols, as a compiler and a careful linker script would make one:
 *
 *   0x401000 r-x .text    main, helper, a label, two static functions of one name
 *   0x402000 r-x .vault   sign, check, inner, beyond (on the second page), nothing (no length)
 *   0x404000 r-- .rodata  message
 *   0x405000 rw- .data    counter
 *   0x406000 rw- .secret  key
 *   0x407000 rw- .bss     buffer, and the linker's mark _end
 *   0x40a000 rwx .jit     jit
 *
 * Byte i of the part of a segment that the file has is built_byte(number of the segment, i): all of
 * .text, .vault and some bytes more, and BUILT_FILE bytes of the other segments.
 */
#define BUILT_CODE   0x402000U
#define BUILT_SECRET 0x406000U
#define BUILT_FILE   0x100U
#define BUILT_FIRST  0x2100U                        /* bytes of the first segment in the file */
#define BUILT_BYTES  (BUILT_FIRST + 3 * BUILT_FILE) /* at the end of the file */

static inline uint8_t built_byte(size_t segment, size_t i)
{
    return (uint8_t)(i * 7 + (i >> 12) * 13 + segment);
}

/* The file; with stripped not 0 without its symbols. Valid until the next call. */
const uint8_t *built_program(int stripped, size_t *size);

#endif
