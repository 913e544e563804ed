/* SPDX-License-Identifier: Apache-2.0 */
#include <Zydis/Zydis.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "hookguard/portions/parts.h"
#include "mezz/ept.h"

static const struct program_section *section_of(const struct program_image *image, uint64_t address)
{
    for (size_t i = 0; i < image->sections; i++)
        if (address - image->section[i].address < image->section[i].length)
            return &image->section[i];
    return NULL;
}

/* Where an instruction begins for sure, before the address or there: the symbol that has it, or
 * else its section. False: no such place is known. */
static bool find_begin(const struct program_image *image, uint64_t address, uint64_t *begin)
{
    const struct program_symbol *symbol = program_symbol_at(image, address);
    const struct program_section *section = section_of(image, address);

    if (symbol != NULL && section_of(image, symbol->address) == section) {
        *begin = symbol->address;
        return symbol->code && !symbol->data;
    }
    if (section == NULL)
        return false;
    *begin = section->address;
    return section->code;
}

/* What follows it may be its table of targets. */
static bool jumps_by_table(const ZydisDecodedInstruction *instruction)
{
    return instruction->mnemonic == ZYDIS_MNEMONIC_JMP && !instruction->raw.imm[0].is_relative;
}

/* The instruction that the address is in the middle of; or the address, also where one instruction
 * after the other does not lead there. */
static uint64_t instruction_at(const struct program_image *image, uint64_t address)
{
    const struct program_segment *segment = program_segment_of(image, address, 1);
    ZydisDecodedInstruction instruction;
    ZydisDecoder decoder;
    uint64_t at;

    if (!find_begin(image, address, &at) || at < segment->address)
        return address;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    while (at < address && at - segment->address < segment->file_length) {
        const uint64_t offset = at - segment->address;

        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, segment->bytes + offset,
                                                        segment->file_length - offset,
                                                        &instruction)))
            return address;
        if (address - at < instruction.length)
            return at;
        if (jumps_by_table(&instruction))
            return address;
        at += instruction.length;
    }
    return address;
}

static int add_entry(const struct portion_reader *reader, struct portion *portion, uint64_t address,
                     const struct byte_ranges *declared, const char *what)
{
    size_t place = portion->entries;
    bool inside = false;

    for (size_t i = 0; i < declared->count; i++)
        inside =
            inside || (address >= declared->range[i].address && address < declared->range[i].end &&
                       declared->range[i].rights & MEZZ_EPT_EXECUTE);
    if (!inside)
        return error_set(reader->error, EINVAL, "entry %s (%#" PRIx64 ") is not in its code", what,
                         address);
    if (portion_is_entry(portion, address))
        return 0;
    for (; place > 0 && portion->entry[place - 1] > address; place--)
        portion->entry[place] = portion->entry[place - 1];
    portion->entry[place] = address;
    portion->entries++;
    return 0;
}

static int add_entry_address(const struct portion_reader *reader, struct portion *portion,
                             uint64_t address, const struct byte_ranges *declared)
{
    int code = add_entry(reader, portion, address, declared, "point");
    uint64_t begin;

    if (code != 0)
        return code;
    begin = instruction_at(reader->image, address);
    if (begin != address)
        return error_set(reader->error, EINVAL,
                         "entry point (%#" PRIx64
                         ") is in the middle of the instruction at %#" PRIx64,
                         address, begin);
    return 0;
}

int portion_find_entries(const struct portion_reader *reader, struct portion *portion,
                         const struct portion_declaration *declaration,
                         const struct byte_ranges *declared)
{
    const size_t total = declaration->entries + declaration->entry_addresses;
    const struct program_symbol *symbol;
    char what[128];
    int code = 0;

    if (total == 0)
        return error_set(reader->error, EINVAL, "has no entry point");
    if (declaration->entries > PORTION_ENTRIES_LIMIT ||
        declaration->entry_addresses > PORTION_ENTRIES_LIMIT || total > PORTION_ENTRIES_LIMIT)
        return error_set(reader->error, EINVAL, "has more than %u entry points",
                         PORTION_ENTRIES_LIMIT);
    portion->entry = calloc(total, sizeof(*portion->entry));
    if (portion->entry == NULL)
        return error_set(reader->error, ENOMEM, "no memory for its entry points");
    for (size_t i = 0; i < declaration->entries && code == 0; i++) {
        code = portion_find_symbol(reader, declaration->entry[i], &symbol);
        snprintf(what, sizeof(what), "\"%.80s\"", declaration->entry[i]);
        if (code == 0)
            code = add_entry(reader, portion, symbol->address, declared, what);
    }
    for (size_t i = 0; i < declaration->entry_addresses && code == 0; i++)
        code = add_entry_address(reader, portion, declaration->entry_address[i], declared);
    return code;
}
