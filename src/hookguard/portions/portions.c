/* SPDX-License-Identifier: Apache-2.0 */
#include "hookguard/portions/portions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hookguard/portions/parts.h"
#include "host/memory.h"
#include "mezz/ept.h"

static const char *const refusal_names[REFUSAL_KINDS] = {
    [REFUSAL_LOG] = "log",
    [REFUSAL_ERROR] = "error",
    [REFUSAL_KILL] = "kill",
    [REFUSAL_STOP] = "stop",
};

const char *portion_refusal_name(enum portion_refusal refusal)
{
    return refusal_names[refusal];
}

enum portion_refusal portion_refusal_by_name(const char *name)
{
    unsigned int i = 0;

    while (i < REFUSAL_KINDS && strcmp(refusal_names[i], name) != 0)
        i++;
    return (enum portion_refusal)i;
}

void portion_table_init(struct portion_table *table)
{
    *table = (struct portion_table){.programs = 0};
}

static void release(struct portion *portion)
{
    free(portion->name);
    free(portion->pages);
    free(portion->entry);
}

void portion_table_destroy(struct portion_table *table)
{
    for (size_t i = 0; i < table->portions; i++)
        release(&table->portion[i]);
    for (size_t i = 0; i < table->programs; i++)
        program_image_close(&table->program[i]);
}

static uint32_t find_program(const struct portion_table *table, const char *name)
{
    uint32_t i = 0;

    while (i < table->programs && strcmp(table->program[i].name, name) != 0)
        i++;
    return i;
}

int portion_table_add_program(struct portion_table *table, const char *name, const void *bytes,
                              size_t size, struct error *error)
{
    int code;

    if (find_program(table, name) < table->programs)
        return error_set(error, EINVAL, "%s: there is a program of this name already", name);
    if (table->programs == PORTION_PROGRAMS)
        return error_set(error, EINVAL, "%s: is one more than %u programs", name, PORTION_PROGRAMS);
    code = program_image_open(&table->program[table->programs], name, bytes, size, error);
    if (code == 0)
        table->programs++;
    return code;
}

static bool owns(const struct portion *portion, uint64_t address)
{
    for (size_t i = 0; i < portion->own; i++)
        if (address - portion->pages[i].address < portion->pages[i].length)
            return true;
    return false;
}

static bool overlaps(const struct portion_pages *a, const struct portion_pages *b)
{
    return a->address < b->address + b->length && b->address < a->address + a->length;
}

static uint64_t later_start(const struct portion_pages *a, const struct portion_pages *b)
{
    return a->address > b->address ? a->address : b->address;
}

/* Against the portions that are there: none of their own pages may be this one's, or shared by it,
 * nor the other way round. */
static int check_others(const struct portion_reader *reader, const struct portion_table *table,
                        const struct portion *portion)
{
    for (size_t p = 0; p < table->portions; p++) {
        const struct portion *other = &table->portion[p];

        if (other->program != portion->program)
            continue;
        if (strcmp(other->name, portion->name) == 0)
            return error_set(reader->error, EINVAL, "there is a portion of this name already");
        for (size_t i = 0; i < portion->own + portion->shared; i++)
            for (size_t j = 0; j < other->own + other->shared; j++)
                if ((i < portion->own || j < other->own) &&
                    overlaps(&portion->pages[i], &other->pages[j]))
                    return error_set(
                        reader->error, EINVAL, "page %#" PRIx64 " is of portion %s already",
                        later_start(&portion->pages[i], &other->pages[j]), other->name);
    }
    return 0;
}

static size_t constant_pages(const struct portion *portion)
{
    size_t count = 0;

    for (size_t i = 0; i < portion->own; i++)
        if (!(portion->pages[i].inside & MEZZ_EPT_WRITE))
            count += portion->pages[i].length / PAGE_SIZE;
    return count;
}

/* Whether `other` has a page of its own there that does not change, with the same bytes. */
static bool has_same_page(const struct portion_table *table, const struct portion *portion,
                          const struct portion *other, uint64_t address)
{
    uint8_t bytes[PAGE_SIZE];
    uint8_t others[PAGE_SIZE];

    for (size_t i = 0; i < other->own; i++)
        if (address - other->pages[i].address < other->pages[i].length) {
            program_page(&table->program[portion->program], address, bytes);
            program_page(&table->program[other->program], address, others);
            return !(other->pages[i].inside & MEZZ_EPT_WRITE) &&
                   memcmp(bytes, others, PAGE_SIZE) == 0;
        }
    return false;
}

/* What does not change of them is the same, and by that an address space is known. */
static bool is_twin(const struct portion_table *table, const struct portion *portion,
                    const struct portion *other)
{
    if (constant_pages(portion) != constant_pages(other))
        return false;
    for (size_t i = 0; i < portion->own; i++)
        for (uint64_t at = 0; at < portion->pages[i].length; at += PAGE_SIZE)
            if (!(portion->pages[i].inside & MEZZ_EPT_WRITE) &&
                !has_same_page(table, portion, other, portion->pages[i].address + at))
                return false;
    return true;
}

static int check_twins(const struct portion_reader *reader, const struct portion_table *table,
                       const struct portion *portion)
{
    for (size_t p = 0; p < table->portions; p++) {
        const struct portion *other = &table->portion[p];

        if (other->program != portion->program && is_twin(table, portion, other))
            return error_set(reader->error, EINVAL,
                             "has the code of portion %s of %s, which is the same portion then: no "
                             "process could be told to have the one or the other",
                             other->name, table->program[other->program].name);
    }
    return 0;
}

static int find_own(const struct portion_reader *reader, struct portion *portion,
                    const struct portion_declaration *declaration)
{
    struct byte_ranges ranges;
    int code = portion_find_parts(reader, &declaration->parts, &ranges);

    if (code == 0)
        code = portion_make_pages(reader, &ranges, &portion->pages, &portion->own);
    if (code == 0)
        code = portion_check_alone(reader, &ranges, portion->pages, portion->own);
    for (size_t i = 0; code == 0 && i < portion->own; i++) {
        portion->own_pages += portion->pages[i].length / PAGE_SIZE;
        if (portion->pages[i].inside & MEZZ_EPT_EXECUTE)
            portion->code_pages += portion->pages[i].length / PAGE_SIZE;
    }
    if (code == 0 && portion->code_pages == 0)
        code = error_set(reader->error, EINVAL, "has no code");
    if (code == 0 && portion->code_pages > PATTERN_PAGES_LIMIT)
        code = error_set(reader->error, EINVAL, "has %zu pages of code, more than %u",
                         portion->code_pages, PATTERN_PAGES_LIMIT);
    if (code == 0)
        code = portion_find_entries(reader, portion, declaration, &ranges);
    free(ranges.range);
    return code;
}

/* Appends the shared pages to the portion's own. */
static int take_shared(const struct portion_reader *reader, struct portion *portion,
                       const struct portion_pages *shared, size_t count)
{
    struct portion_pages *pages =
        realloc(portion->pages, (portion->own + count + 1) * sizeof(*pages));

    if (pages == NULL)
        return error_set(reader->error, ENOMEM, "no memory for its pages");
    portion->pages = pages;
    for (size_t i = 0; i < count; i++) {
        struct portion_pages *to = &pages[portion->own + i];

        *to = shared[i];
        to->outside = to->inside;
        if (to->inside & MEZZ_EPT_EXECUTE)
            return error_set(reader->error, EINVAL,
                             "page %#" PRIx64 " is code; only data can be shared", to->address);
        for (size_t own = 0; own < portion->own; own++)
            if (overlaps(&pages[own], to))
                return error_set(reader->error, EINVAL,
                                 "page %#" PRIx64 " is of the portion itself", to->address);
    }
    portion->shared = count;
    return 0;
}

static int find_shared(const struct portion_reader *reader, struct portion *portion,
                       const struct portion_declaration *declaration)
{
    struct portion_pages *pages = NULL;
    struct byte_ranges ranges;
    size_t count = 0;
    int code = portion_find_parts(reader, &declaration->shared, &ranges);

    if (code == 0)
        code = portion_make_pages(reader, &ranges, &pages, &count);
    if (code == 0)
        code = take_shared(reader, portion, pages, count);
    free(pages);
    free(ranges.range);
    return code != 0 ? error_prefix(reader->error, code, "shared") : 0;
}

int portion_table_add(struct portion_table *table, const struct portion_declaration *declaration,
                      struct error *error)
{
    struct portion portion = {.id = (uint32_t)table->portions + 1,
                              .program = find_program(table, declaration->program),
                              .on_refusal = declaration->on_refusal,
                              .tolerated = declaration->tolerated,
                              .strict = declaration->strict,
                              .patterns = declaration->patterns};
    struct portion_reader reader = {NULL, error};
    int code = 0;

    if (portion.program == table->programs)
        return error_set(error, EINVAL, "portion %s: there is no program \"%s\"", declaration->name,
                         declaration->program);
    reader.image = &table->program[portion.program];
    portion.name = strdup(declaration->name);
    if (portion.name == NULL)
        code = error_set(error, ENOMEM, "no memory for its name");
    else if (table->portions == PORTIONS_LIMIT)
        code = error_set(error, EINVAL, "is one more than %u portions", PORTIONS_LIMIT);
    if (code == 0)
        code = find_own(&reader, &portion, declaration);
    if (code == 0)
        code = find_shared(&reader, &portion, declaration);
    if (code == 0)
        code = check_others(&reader, table, &portion);
    if (code == 0)
        code = check_twins(&reader, table, &portion);
    if (code == 0) {
        table->portion[table->portions++] = portion;
        return 0;
    }
    release(&portion);
    return error_prefix(error, code, "%s: portion %s", declaration->program, declaration->name);
}

const struct portion *portion_by_id(const struct portion_table *table, uint32_t id)
{
    return id == 0 || id > table->portions ? NULL : &table->portion[id - 1];
}

bool portion_is_entry(const struct portion *portion, uint64_t address)
{
    for (size_t i = 0; i < portion->entries; i++)
        if (portion->entry[i] == address)
            return true;
    return false;
}

const struct portion_pages *portion_pages_at(const struct portion *portion, uint64_t address)
{
    for (size_t i = 0; i < portion->own + portion->shared; i++)
        if (address - portion->pages[i].address < portion->pages[i].length)
            return &portion->pages[i];
    return NULL;
}

const struct portion *portion_at(const struct portion_table *table, uint32_t program,
                                 uint64_t address)
{
    for (size_t i = 0; i < table->portions; i++)
        if (table->portion[i].program == program && owns(&table->portion[i], address))
            return &table->portion[i];
    return NULL;
}
