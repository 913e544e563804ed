/* SPDX-License-Identifier: Apache-2.0 */
#include "hookguard/portions/parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/memory.h"
#include "mezz/ept.h"

#define NAMES_SHOWN 4

static int add_range(const struct portion_reader *reader, struct byte_ranges *ranges,
                     uint64_t address, uint64_t length, const char *what)
{
    const struct program_segment *segment;
    size_t place;

    if (length == 0)
        return error_set(reader->error, EINVAL, "%s has no length", what);
    segment = program_segment_of(reader->image, address, length);
    if (segment == NULL)
        return error_set(reader->error, EINVAL,
                         "%s [%#" PRIx64 ", +%#" PRIx64 ") is outside of the program's segments",
                         what, address, length);
    if ((segment->rights & MEZZ_EPT_WRITE) && (segment->rights & MEZZ_EPT_EXECUTE))
        return error_set(reader->error, EINVAL, "%s is both writable and executable", what);
    if (!(segment->rights & MEZZ_EPT_READ))
        return error_set(reader->error, EINVAL, "%s is not readable", what);
    for (place = ranges->count; place > 0 && ranges->range[place - 1].address > address; place--)
        ranges->range[place] = ranges->range[place - 1];
    ranges->range[place] = (struct byte_range){address, address + length, segment->rights};
    ranges->count++;
    return 0;
}

int portion_find_symbol(const struct portion_reader *reader, const char *name,
                        const struct program_symbol **symbol)
{
    size_t found = program_find_symbol(reader->image, name, symbol);

    if (found == 1)
        return 0;
    if (reader->image->symbols == 0)
        return error_set(reader->error, EINVAL,
                         "symbol \"%.80s\": the program has no symbols (it was stripped)", name);
    if (found == 0)
        return error_set(reader->error, EINVAL, "there is no symbol \"%.80s\"", name);
    return error_set(reader->error, EINVAL, "there are %zu symbols \"%.80s\"", found, name);
}

static int find_section(const struct portion_reader *reader, const char *name,
                        struct byte_ranges *ranges)
{
    const struct program_section *section;
    size_t found = program_find_section(reader->image, name, &section);
    char what[128];

    if (found == 0)
        return error_set(reader->error, EINVAL, "there is no section \"%.80s\" in memory", name);
    if (found > 1)
        return error_set(reader->error, EINVAL, "there are %zu sections \"%.80s\"", found, name);
    snprintf(what, sizeof(what), "section \"%.80s\"", name);
    return add_range(reader, ranges, section->address, section->length, what);
}

int portion_find_parts(const struct portion_reader *reader, const struct portion_parts *parts,
                       struct byte_ranges *ranges)
{
    const struct program_symbol *symbol;
    size_t total = parts->symbols + parts->sections + parts->ranges;
    char what[128];
    int code = 0;

    *ranges = (struct byte_ranges){.range = NULL};
    if (parts->symbols > PORTION_NAMES_LIMIT || parts->sections > PORTION_NAMES_LIMIT ||
        parts->ranges > PORTION_NAMES_LIMIT)
        return error_set(reader->error, EINVAL, "more than %u parts", PORTION_NAMES_LIMIT);
    ranges->range = calloc(total + 1, sizeof(*ranges->range));
    if (ranges->range == NULL)
        return error_set(reader->error, ENOMEM, "no memory for its parts");
    for (size_t i = 0; i < parts->symbols && code == 0; i++) {
        code = portion_find_symbol(reader, parts->symbol[i], &symbol);
        snprintf(what, sizeof(what), "symbol \"%.80s\"", parts->symbol[i]);
        if (code == 0)
            code = add_range(reader, ranges, symbol->address, symbol->length, what);
    }
    for (size_t i = 0; i < parts->sections && code == 0; i++)
        code = find_section(reader, parts->section[i], ranges);
    for (size_t i = 0; i < parts->ranges && code == 0; i++)
        code = add_range(reader, ranges, parts->range[i].address, parts->range[i].length, "range");
    return code;
}

int portion_make_pages(const struct portion_reader *reader, const struct byte_ranges *ranges,
                       struct portion_pages **made, size_t *count)
{
    struct portion_pages *pages = calloc(ranges->count + 1, sizeof(*pages));
    uint64_t total = 0;
    size_t n = 0;

    *made = pages;
    *count = 0;
    if (pages == NULL)
        return error_set(reader->error, ENOMEM, "no memory for its pages");
    for (size_t i = 0; i < ranges->count; i++) {
        const struct byte_range *range = &ranges->range[i];
        uint64_t start = range->address & ~(PAGE_SIZE - 1);
        uint64_t end = (range->end + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
        uint64_t before = n > 0 ? pages[n - 1].address + pages[n - 1].length : 0;

        if (n > 0 && start < before && pages[n - 1].inside != range->rights)
            return error_set(reader->error, EINVAL,
                             "page %#" PRIx64 " has parts with different rights", start);
        if (n > 0 && start <= before && pages[n - 1].inside == range->rights) {
            if (end > before)
                pages[n - 1].length += end - before;
        } else {
            pages[n++] = (struct portion_pages){start, end - start, range->rights, 0};
        }
    }
    for (size_t i = 0; i < n; i++)
        total += pages[i].length / PAGE_SIZE;
    if (total > PORTION_PAGES_LIMIT)
        return error_set(reader->error, EINVAL, "has %" PRIu64 " pages, more than %u", total,
                         PORTION_PAGES_LIMIT);
    *count = n;
    return 0;
}

/* Whether a byte of [address, end) is on the pages and not declared. Ranges are by address. */
static bool intrudes(const struct byte_ranges *ranges, const struct portion_pages *pages,
                     uint64_t address, uint64_t end)
{
    uint64_t last = pages->address + pages->length;

    if (address < pages->address)
        address = pages->address;
    if (end > last)
        end = last;
    for (size_t i = 0; i < ranges->count && address < end; i++)
        if (ranges->range[i].address <= address && ranges->range[i].end > address)
            address = ranges->range[i].end;
    return address < end;
}

/* Bytes of a section that has declared ones, and which no symbol names, belong to the portion. */
static bool has_declared(const struct byte_ranges *ranges, const struct program_section *section)
{
    for (size_t i = 0; i < ranges->count; i++)
        if (ranges->range[i].address < section->address + section->length &&
            ranges->range[i].end > section->address)
            return true;
    return false;
}

/* Who else lies on the pages, by name. */
struct intruders {
    char names[256];
    size_t count;
    uint64_t page;
};

static void add_intruder(struct intruders *intruders, const struct portion_pages *pages,
                         const char *name, uint64_t address)
{
    size_t length = strlen(intruders->names);

    if (intruders->count == 0)
        intruders->page = address < pages->address ? pages->address : address & ~(PAGE_SIZE - 1);
    if (intruders->count++ < NAMES_SHOWN)
        snprintf(intruders->names + length, sizeof(intruders->names) - length, "%s%.48s",
                 length > 0 ? ", " : "", name);
}

static void find_intruders(const struct portion_reader *reader, const struct byte_ranges *ranges,
                           const struct portion_pages *pages, struct intruders *intruders)
{
    const struct program_image *image = reader->image;

    for (size_t i = 0; i < image->symbols; i++) {
        const struct program_symbol *symbol = &image->symbol[i];
        uint64_t length = symbol->length;

        /* A label of assembly; those among data are the linker's marks. */
        if (length == 0 && symbol->code)
            length = 1;
        if (intrudes(ranges, pages, symbol->address, symbol->address + length))
            add_intruder(intruders, pages, symbol->name, symbol->address);
    }
    for (size_t i = 0; i < image->sections; i++) {
        const struct program_section *section = &image->section[i];
        uint64_t end = section->address + section->length;

        if (end > section->address && !has_declared(ranges, section) &&
            intrudes(ranges, pages, section->address, end))
            add_intruder(intruders, pages, section->name, section->address);
    }
}

int portion_check_alone(const struct portion_reader *reader, const struct byte_ranges *ranges,
                        const struct portion_pages *pages, size_t count)
{
    struct intruders intruders = {.count = 0};
    char more[32] = "";

    for (size_t i = 0; i < count; i++)
        find_intruders(reader, ranges, &pages[i], &intruders);
    if (intruders.count == 0)
        return 0;
    if (intruders.count > NAMES_SHOWN)
        snprintf(more, sizeof(more), " and %zu more", intruders.count - NAMES_SHOWN);
    return error_set(reader->error, EINVAL,
                     "page %#" PRIx64 " is shared with %s%s: a portion needs pages of its own",
                     intruders.page, intruders.names, more);
}
