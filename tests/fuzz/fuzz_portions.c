/* SPDX-License-Identifier: Apache-2.0 */
/* Portions: a program's file with other bytes here and there, and a declaration. What is accepted
 * is in order: whole pages, sorted, without overlaps, and entry points inside. */
#include <stdlib.h>
#include <string.h>

#include "hookguard/portions/portions.h"
#include "host/memory.h"
#include "unit_portions_builder.h"

#define WORDS 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_pages(const struct portion_pages *pages, size_t count)
{
    uint64_t end = 0;

    for (size_t i = 0; i < count; i++) {
        if (pages[i].address % PAGE_SIZE != 0 || pages[i].length % PAGE_SIZE != 0 ||
            pages[i].length == 0 || pages[i].address < end)
            abort();
        end = pages[i].address + pages[i].length;
        if (end < pages[i].address)
            abort();
    }
}

static void check_portion(const struct portion_table *table, uint32_t id)
{
    const struct portion *portion = portion_by_id(table, id);

    if (portion == NULL || portion->own == 0)
        abort();
    check_pages(portion->pages, portion->own);
    for (size_t i = 0; i < portion->own + portion->shared; i++)
        if (portion_pages_at(portion, portion->pages[i].address) == NULL)
            abort();
    for (size_t i = 0; i < portion->own; i++)
        if (portion_at(table, portion->program, portion->pages[i].address) != portion)
            abort();
    for (size_t i = 0; i < portion->entries; i++)
        if (!portion_is_entry(portion, portion->entry[i]) ||
            portion_at(table, portion->program, portion->entry[i]) != portion)
            abort();
}

/* Words of the input, each ended by a NUL or a slash; the last one ends with the input. */
static const char *const *take_words(const char **text, size_t *count)
{
    static const char *words[4][WORDS];
    static unsigned int next;
    const char **list = words[next++ % 4];
    size_t n = *count % (WORDS + 1);

    *count = 0;
    while (*count < n && **text != '\0') {
        list[(*count)++] = *text;
        *text += strlen(*text) + 1;
    }
    return list;
}

static void declare(struct portion_table *table, const uint8_t *data, const char *text)
{
    struct address_range range = {0x400000 + 16ULL * (data[0] + 256U * data[1]), 16ULL * data[2]};
    uint64_t address = range.address;
    struct portion_declaration declaration = {.program = "p", .on_refusal = REFUSAL_KILL};
    struct portion_parts *parts = &declaration.parts;
    struct error error;

    parts->symbols = data[3] % 3;
    parts->symbol = take_words(&text, &parts->symbols);
    parts->sections = data[4] % 3;
    parts->section = take_words(&text, &parts->sections);
    declaration.entries = data[5] % 3;
    declaration.entry = take_words(&text, &declaration.entries);
    declaration.shared.sections = data[6] % 2;
    declaration.shared.section = take_words(&text, &declaration.shared.sections);
    declaration.name = *text != '\0' ? text : "portion";
    parts->range = &range;
    parts->ranges = data[7] & 1;
    declaration.entry_address = &address;
    declaration.entry_addresses = data[7] >> 1 & 1;
    declaration.strict = data[7] & 4;
    if (portion_table_add(table, &declaration, &error) == 0)
        check_portion(table, (uint32_t)table->portions);
    else if (error.text[0] == '\0')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct portion_table table;
    static uint8_t file[65536];
    size_t length;
    const uint8_t *built = built_program(0, &length);
    struct error error;
    unsigned int patches;
    char text[257];

    if (size < 1 || length > sizeof(file))
        return 0;
    memcpy(file, built, length);
    patches = data[0] % 16;
    for (data++, size--; patches > 0 && size >= 3; patches--, data += 3, size -= 3)
        file[(size_t)(data[0] | data[1] << 8) % length] = data[2];
    portion_table_init(&table);
    if (portion_table_add_program(&table, "p", file, length, &error) == 0) {
        for (int i = 0; i < 3 && size > 8; i++) {
            size_t rest = size - 8 < 256 ? size - 8 : 256;
            size_t used = rest < 64 ? rest : 64;

            memcpy(text, data + 8, used);
            for (size_t j = 0; j < used; j++)
                text[j] = (char)(text[j] == '/' ? '\0' : text[j]);
            memset(text + used, 0, sizeof(text) - used);
            declare(&table, data, text);
            data += 8 + used;
            size -= 8 + used;
        }
    }
    portion_table_destroy(&table);
    return 0;
}
