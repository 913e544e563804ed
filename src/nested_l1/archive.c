/* SPDX-License-Identifier: Apache-2.0 */
#include "archive.h"

#include <stdbool.h>

#include "lib/machine.h"
#include "lib/say.h"
#include "lib/text.h"
#include "mezz/abi.h"

/* cpio(5), "new ASCII format": a header of hexadecimal digits, the name with its NUL, the bytes;
 * name and bytes are padded to 4. */
#define HEADER_SIZE   110U
#define DIGITS        8U
#define AT_FILE_SIZE  54U
#define AT_NAME_SIZE  94U
#define MAGIC         TEXT("070701")
#define LAST          TEXT("TRAILER!!!")
#define ARCHIVE_FILES 64U

struct archive {
    const char *bytes;
    uint64_t size;
    uint64_t at; /* of the next header */
};

struct archive_file {
    struct text name;
    const char *bytes;
    uint64_t size;
};

static bool read_hex(const char *digits, uint64_t *value)
{
    *value = 0;
    for (unsigned int i = 0; i < DIGITS; i++) {
        char c = digits[i];
        unsigned int digit = 16;

        if (c >= '0' && c <= '9')
            digit = (unsigned int)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (unsigned int)((c | 0x20) - 'a') + 10;
        if (digit == 16)
            return false;
        *value = *value << 4 | digit;
    }
    return true;
}

static uint64_t padded(uint64_t size)
{
    return (size + 3) & ~3ULL;
}

/* False: there is no sound header at this place. */
static bool next_file(struct archive *archive, struct archive_file *file)
{
    const char *header = archive->bytes + archive->at;
    uint64_t left = archive->size - archive->at;
    uint64_t name_size, data;
    struct text rest;

    if (left < HEADER_SIZE ||
        !text_skip((struct text){.start = header, .length = HEADER_SIZE}, MAGIC, &rest) ||
        !read_hex(header + AT_FILE_SIZE, &file->size) ||
        !read_hex(header + AT_NAME_SIZE, &name_size))
        return false;
    data = padded(HEADER_SIZE + name_size); /* both are 32 bits wide */
    if (!name_size || data > left || file->size > left - data ||
        header[HEADER_SIZE + name_size - 1] != '\0')
        return false;
    file->name = text_of(header + HEADER_SIZE);
    file->bytes = header + data;
    data += padded(file->size);
    archive->at += data < left ? data : left;
    return true;
}

/* Each file takes whole pages, zeroed behind it. */
static bool add_module(struct arena *arena, const struct archive_file *file,
                       struct mezz_pvh_module *module)
{
    uint64_t at = arena_take(arena, file->size ? file->size : 1, MEZZ_PAGE_SIZE);

    if (!at)
        return false;
    copy_bytes(pointer_at(at), file->bytes, file->size);
    *module = (struct mezz_pvh_module){
        .paddr = at,
        .size = file->size,
        .cmdline_paddr = address_of(file->name.start),
    };
    arena->next = (arena->next + MEZZ_PAGE_SIZE - 1) & ~(MEZZ_PAGE_SIZE - 1ULL);
    return true;
}

static const char *unpack(struct arena *arena, struct archive *archive,
                          struct mezz_pvh_module *module, uint32_t *count)
{
    struct archive_file file;

    while (next_file(archive, &file)) {
        if (text_equal(file.name, LAST))
            return NULL;
        if (*count == ARCHIVE_FILES)
            return "has too many files";
        if (!add_module(arena, &file, &module[(*count)++]))
            return "does not fit into memory";
    }
    return "ends in the middle";
}

const struct mezz_pvh_start_info *archive_unpack(struct arena *arena,
                                                 const struct mezz_pvh_start_info *info,
                                                 struct mezz_pvh_start_info *unpacked)
{
    static struct mezz_pvh_module modules[ARCHIVE_FILES];
    const struct mezz_pvh_module *module = pointer_at(info->modlist_paddr);
    struct archive archive;
    const char *wrong;
    struct text rest;

    if (info->nr_modules != 1 || module->size < HEADER_SIZE ||
        !text_skip((struct text){.start = pointer_at(module->paddr), .length = module->size}, MAGIC,
                   &rest))
        return info;
    archive = (struct archive){.bytes = pointer_at(module->paddr), .size = module->size};
    *unpacked = *info;
    unpacked->modlist_paddr = address_of(modules);
    unpacked->nr_modules = 0;
    wrong = unpack(arena, &archive, modules, &unpacked->nr_modules);
    if (!wrong)
        return unpacked;
    say("the archive of modules %s", wrong);
    return NULL;
}
