/* SPDX-License-Identifier: Apache-2.0 */
/* Code that goes where a pointer says. In the security view every guarded function runs from each
 * of its bytes: a pointer that a caller can choose leads past another one's hook. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "hookguard/hooks/instruction.h"
#include "hookguard/hooks/parts.h"
#include "mezz/ept.h"

#define LONGEST 15U

static bool is_register(const ZydisDecodedOperand *operand, ZydisRegister name)
{
    return operand->type == ZYDIS_OPERAND_TYPE_REGISTER && operand->reg.value == name;
}

/* *table(,index,8), which nobody writes to. */
static bool is_table(const struct program_image *image, const ZydisDecodedOperand *operand)
{
    const struct program_segment *segment;

    if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY || operand->mem.base != ZYDIS_REGISTER_NONE ||
        operand->mem.index == ZYDIS_REGISTER_NONE || operand->mem.scale != 8 ||
        !operand->mem.disp.has_displacement || operand->mem.segment == ZYDIS_REGISTER_FS ||
        operand->mem.segment == ZYDIS_REGISTER_GS)
        return false;
    segment = program_segment_of(image, (uint64_t)operand->mem.disp.value, sizeof(uint64_t));
    return segment != NULL && !(segment->rights & MEZZ_EPT_WRITE);
}

/* What a switch is compiled to: a jump by a table; or by a register that was read from one just
 * now, or added up of a place and a distance. */
static bool is_switch(const struct program_image *image, const struct instruction *at,
                      const struct instruction *before)
{
    const ZydisDecodedOperand *to = &at->operand[0];

    if (at->z.meta.category != ZYDIS_CATEGORY_UNCOND_BR ||
        at->z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
        return false;
    if (to->type != ZYDIS_OPERAND_TYPE_REGISTER)
        return is_table(image, to);
    if (before == NULL || !is_register(&before->operand[0], to->reg.value))
        return false;
    return before->z.mnemonic == ZYDIS_MNEMONIC_ADD
               ? before->operand[1].type == ZYDIS_OPERAND_TYPE_REGISTER
               : before->z.mnemonic == ZYDIS_MNEMONIC_MOV && is_table(image, &before->operand[1]);
}

/* A return to what was put there just now is a jump. */
static bool is_put_there(const struct instruction *before)
{
    const ZydisDecodedOperand *to = before == NULL ? NULL : &before->operand[0];

    if (before == NULL)
        return false;
    if (before->z.meta.category == ZYDIS_CATEGORY_PUSH)
        return true;
    return before->z.mnemonic == ZYDIS_MNEMONIC_MOV && to->type == ZYDIS_OPERAND_TYPE_MEMORY &&
           to->mem.base == ZYDIS_REGISTER_RSP && to->mem.index == ZYDIS_REGISTER_NONE &&
           to->mem.disp.value == 0;
}

static bool goes_anywhere(const struct program_image *image, const struct instruction *at,
                          const struct instruction *before)
{
    switch ((int)at->z.meta.category) {
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_UNCOND_BR:
        return !instruction_is_relative(at) && !is_switch(image, at, before);
    case ZYDIS_CATEGORY_RET:
        return is_put_there(before);
    default:
        return false;
    }
}

/* The first such instruction of [from, end), or 0. What is no instruction is passed over. */
static uint64_t find(const struct program_image *image, uint64_t from, uint64_t end)
{
    const struct program_segment *segment = program_segment_of(image, from, 1);
    struct instruction two[2];
    const struct instruction *before = NULL;
    unsigned int i = 0;

    for (uint64_t at = from;
         segment != NULL && at < end && at - segment->address < segment->file_length;) {
        const uint64_t offset = at - segment->address;
        const uint64_t left = segment->file_length - offset;

        if (!instruction_decode(segment->bytes + offset, left < LONGEST ? left : LONGEST, at,
                                &two[i])) {
            before = NULL;
            at++;
            continue;
        }
        if (goes_anywhere(image, &two[i], before))
            return at;
        at += two[i].z.length;
        before = &two[i];
        i ^= 1;
    }
    return 0;
}

static int refuse(const struct hook_maker *maker, const char *guard, const char *name, uint64_t at)
{
    return error_set(maker->error, EINVAL,
                     "%s: %s%s: at %#" PRIx64 " it goes where a pointer says: one of a caller's "
                     "could lead past another function's hook",
                     maker->library->name, guard, name, at);
}

static uint64_t end_of_section(const struct program_image *image, uint64_t address)
{
    for (size_t i = 0; i < image->sections; i++)
        if (address - image->section[i].address < image->section[i].length)
            return image->section[i].address + image->section[i].length;
    return address;
}

/* Of a label of assembly, which has no length: to the next one. */
static uint64_t end_of(const struct program_image *image, size_t i)
{
    const struct program_symbol *symbol = &image->symbol[i];
    const uint64_t end = end_of_section(image, symbol->address);

    if (symbol->length != 0)
        return symbol->address + symbol->length;
    while (++i < image->symbols)
        if (image->symbol[i].address != symbol->address)
            return image->symbol[i].address < end ? image->symbol[i].address : end;
    return end;
}

int hook_pointers_check(struct hook_maker *maker)
{
    const struct hook_plan *plan = maker->plan;
    const struct program_image *library = maker->library;
    uint64_t done = 0; /* up to here, as functions may have several names */
    uint64_t at;

    for (size_t i = 0; i < plan->functions; i++) {
        const struct hook_function *function = &plan->function[i];

        at = find(library, function->entry, function->entry + function->length);
        if (at != 0)
            return refuse(maker, "guard of ", function->name, at);
    }
    /* All of a library runs in the security view; of a program nothing else. */
    for (size_t i = 0; !plan->own && i < library->symbols; i++) {
        const struct program_symbol *symbol = &library->symbol[i];

        const uint64_t end = end_of(library, i);

        if (!symbol->code || symbol->data || end <= done)
            continue;
        at = find(library, symbol->address > done ? symbol->address : done, end);
        done = end;
        if (at != 0)
            return refuse(maker, "", symbol->name, at);
    }
    return 0;
}
