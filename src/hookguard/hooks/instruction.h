/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_HOOKS_INSTRUCTION_H
#define HOOKGUARD_HOOKS_INSTRUCTION_H

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stdint.h>

/* Between code.c and pointers.c: an instruction, decoded. */

struct instruction {
    ZydisDecodedInstruction z;
    ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
    uint64_t address;
};

static inline bool instruction_decode(const uint8_t *bytes, uint64_t length, uint64_t address,
                                      struct instruction *instruction)
{
    ZydisDecoder decoder;

    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    instruction->address = address;
    return ZYAN_SUCCESS(
        ZydisDecoderDecodeFull(&decoder, bytes, length, &instruction->z, instruction->operand));
}

/* A branch by a distance in the instruction: JMP, Jcc, LOOP, CALL. */
static inline bool instruction_is_relative(const struct instruction *instruction)
{
    return instruction->z.raw.imm[0].is_relative && instruction->z.raw.imm[0].size != 0;
}

#endif
