/* SPDX-License-Identifier: Apache-2.0 */
/* The newc cpio format: headers in hexadecimal text, everything padded to 4 bytes. */
#include "kernel/image.h"

#include <stddef.h>

#define HEADER_SIZE 110
#define FIELD_SIZE  54 /* offset of c_filesize */
#define FIELD_NAME  94 /* offset of c_namesize */

static bool read_hex(const uint8_t *text, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint8_t c = text[i];
        uint8_t digit = c >= '0' && c <= '9'   ? (uint8_t)(c - '0')
                        : c >= 'a' && c <= 'f' ? (uint8_t)(c - 'a' + 10)
                        : c >= 'A' && c <= 'F' ? (uint8_t)(c - 'A' + 10)
                                               : 16;
        if (digit == 16) {
            return false;
        }
        *value = *value << 4 | digit;
    }
    return true;
}

static uint64_t pad(uint64_t n)
{
    return (n + 3) & ~3ul;
}

static bool has_magic(const uint8_t *bytes)
{
    static const char magic[6] = "070701";

    for (unsigned i = 0; i < sizeof(magic); i++) {
        if (bytes[i] != (uint8_t)magic[i]) {
            return false;
        }
    }
    return true;
}

/* The file at an offset of the archive, if the header there is sound; the offset behind it. */
static uint64_t take_file(const struct image *archive, uint64_t at, struct image *file)
{
    const uint8_t *header = archive->bytes + at;
    uint64_t size, name_size;

    if (archive->size - at < HEADER_SIZE || !has_magic(header) ||
        !read_hex(header + FIELD_SIZE, &size) || !read_hex(header + FIELD_NAME, &name_size)) {
        return 0;
    }
    uint64_t data = at + pad(HEADER_SIZE + name_size);
    if (data > archive->size || size > archive->size - data || !name_size ||
        name_size > IMAGE_COMMAND_MAX || header[HEADER_SIZE + name_size - 1]) {
        return 0;
    }
    file->bytes = archive->bytes + data;
    file->paddr = archive->paddr + data;
    file->size = size;
    file->command = (const char *)header + HEADER_SIZE;
    uint64_t next = data + pad(size);
    return next < archive->size ? next : archive->size;
}

bool archive_open(const struct image *archive, struct image *images, unsigned *n)
{
    uint64_t at = 0;

    while (*n < IMAGE_MAX) {
        uint64_t next = take_file(archive, at, &images[*n]);

        if (!next) {
            break;
        }
        at = next;
        *n += images[*n].size != 0; /* the trailer is empty */
    }
    return at != 0;
}
