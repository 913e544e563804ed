/* SPDX-License-Identifier: Apache-2.0 */
#include "hookguard/hooks/code.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "hookguard/hooks/instruction.h"
#include "hookguard/hooks/plan.h"
#include "host/memory.h"

#define NOP           0x90
#define INT3          0xcc
#define JUMP_BYTES    5U
#define LONGEST       15U
#define HARMLESS_TAIL 16U /* after the trap's gate: more than one instruction */

static bool is_padding(const struct instruction *instruction)
{
    return instruction->z.mnemonic == ZYDIS_MNEMONIC_NOP ||
           instruction->z.mnemonic == ZYDIS_MNEMONIC_ENDBR64;
}

static uint64_t target_of(const struct instruction *instruction)
{
    return instruction->address + instruction->z.length + instruction->z.raw.imm[0].value.u;
}

/* JMP through a register or memory: nobody knows where to. */
static bool is_blind(const struct instruction *instruction)
{
    return instruction->z.meta.category == ZYDIS_CATEGORY_UNCOND_BR &&
           !instruction_is_relative(instruction);
}

static bool ends_flow(const struct instruction *instruction)
{
    return instruction->z.meta.category == ZYDIS_CATEGORY_RET ||
           instruction->z.meta.category == ZYDIS_CATEGORY_UNCOND_BR ||
           instruction->z.mnemonic == ZYDIS_MNEMONIC_UD2 ||
           instruction->z.mnemonic == ZYDIS_MNEMONIC_INT3;
}

/* The no-operations at the beginning, or the instructions that cover `room`. */
static int measure(const struct hook_code *code, uint64_t room, struct hook_beginning *beginning,
                   struct error *error)
{
    struct instruction at;
    uint64_t done = 0;
    bool padding = true;
    bool ended = false;

    *beginning = (struct hook_beginning){.body = 0};
    while (done < code->length && (padding || done < room)) {
        if (!instruction_decode(code->bytes + done, code->length - done, code->address + done, &at))
            return error_set(error, EINVAL, "no instruction at %#" PRIx64, code->address + done);
        if (padding && !is_padding(&at)) {
            if (done >= room) {
                beginning->body = code->address + done;
                return 0;
            }
            padding = false;
        }
        if (ended)
            return error_set(error, EINVAL,
                             "the function is too short: a hook needs %" PRIu64 " bytes", room);
        ended = ends_flow(&at);
        done += at.z.length;
    }
    if (done < room || padding)
        return error_set(error, EINVAL, "the function is too short: a hook needs %" PRIu64 " bytes",
                         room);
    beginning->length = done;
    return 0;
}

/* The whole function: nothing may branch into what is displaced. */
static int sweep(const struct hook_code *code, const struct hook_beginning *beginning,
                 struct error *error)
{
    uint64_t displaced = code->address + beginning->length;
    struct instruction at;

    for (uint64_t done = 0; done < code->length; done += at.z.length) {
        if (!instruction_decode(code->bytes + done, code->length - done, code->address + done, &at))
            return error_set(error, EINVAL,
                             "no instruction at %#" PRIx64 ": there is data in the code",
                             code->address + done);
        if (is_blind(&at))
            return error_set(error, EINVAL, "an indirect jump at %#" PRIx64 " may lead anywhere",
                             at.address);
        /* A call of the entry is one like any other: the hook is there. */
        if (!instruction_is_relative(&at) ||
            (at.z.meta.category == ZYDIS_CATEGORY_CALL && target_of(&at) == code->address))
            continue;
        if (target_of(&at) >= code->address && target_of(&at) < displaced)
            return error_set(error, EINVAL,
                             "a branch at %#" PRIx64
                             " leads into the bytes that the hook displaces",
                             at.address);
    }
    return 0;
}

int hook_code_begin(const struct hook_code *code, uint64_t room, struct hook_beginning *beginning,
                    struct error *error)
{
    int result = measure(code, room, beginning, error);

    if (result != 0 || beginning->body != 0)
        return result;
    return sweep(code, beginning, error);
}

int hook_code_each_target(const struct hook_code *code,
                          int (*found)(void *context, uint64_t target), void *context)
{
    struct instruction at;
    int result = 0;

    for (uint64_t done = 0; done < code->length && result == 0; done += at.z.length) {
        if (!instruction_decode(code->bytes + done, code->length - done, code->address + done, &at))
            return 0;
        if (instruction_is_relative(&at))
            result = found(context, target_of(&at));
    }
    return result;
}

/* --- moving --- */

struct mover {
    uint8_t *to;
    uint64_t address; /* of to[0] */
    size_t used;
    uint64_t first; /* the displaced range */
    uint64_t end;
    struct error *error;
};

static int put(struct mover *mover, const void *bytes, size_t length)
{
    if (length > HOOK_MOVED_LIMIT - mover->used)
        return error_set(mover->error, EINVAL, "its beginning is too long to be moved");
    memcpy(mover->to + mover->used, bytes, length);
    mover->used += length;
    return 0;
}

/* The opcode, and the distance to the target from behind it. */
static int put_branch(struct mover *mover, const uint8_t *opcode, size_t length, uint64_t target)
{
    uint64_t behind = mover->address + mover->used + length + 4;
    int64_t distance = (int64_t)(target - behind);
    int32_t short_distance = (int32_t)distance;
    int code;

    if (distance != short_distance)
        return error_set(mover->error, EINVAL, "a branch does not reach from the agent's pages");
    code = put(mover, opcode, length);
    return code != 0 ? code : put(mover, &short_distance, 4);
}

static int move_branch(struct mover *mover, const struct instruction *at)
{
    const uint8_t jump = 0xe9;
    const uint8_t call = 0xe8;
    uint8_t condition[2] = {0x0f, 0};

    if (at->z.meta.category == ZYDIS_CATEGORY_CALL)
        return put_branch(mover, &call, 1, target_of(at));
    if (at->z.meta.category == ZYDIS_CATEGORY_UNCOND_BR)
        return put_branch(mover, &jump, 1, target_of(at));
    /* LOOP, JRCXZ: they have no longer form. */
    if (at->z.mnemonic == ZYDIS_MNEMONIC_LOOP || at->z.mnemonic == ZYDIS_MNEMONIC_LOOPE ||
        at->z.mnemonic == ZYDIS_MNEMONIC_LOOPNE || at->z.mnemonic == ZYDIS_MNEMONIC_JRCXZ ||
        at->z.mnemonic == ZYDIS_MNEMONIC_JECXZ)
        return error_set(mover->error, EINVAL, "the instruction at %#" PRIx64 " cannot be moved",
                         at->address);
    /* 70+cc short, 0f 80+cc near. */
    condition[1] = (uint8_t)(0x80 | (at->z.opcode & 0x0f));
    return put_branch(mover, condition, 2, target_of(at));
}

/* RIP-relative memory: the same place, another distance. */
static int move_relative(struct mover *mover, const struct instruction *at, const uint8_t *bytes)
{
    uint8_t copy[LONGEST];
    uint64_t target = at->address + at->z.length + (uint64_t)at->z.raw.disp.value;
    int64_t distance = (int64_t)(target - (mover->address + mover->used + at->z.length));
    int32_t short_distance = (int32_t)distance;

    if (distance != short_distance)
        return error_set(mover->error, EINVAL, "data of it is too far from the agent's pages");
    if (target >= mover->first && target < mover->end)
        return error_set(mover->error, EINVAL, "it reads its own beginning");
    memcpy(copy, bytes, at->z.length);
    memcpy(copy + at->z.raw.disp.offset, &short_distance, 4);
    return put(mover, copy, at->z.length);
}

int hook_code_move(const struct hook_code *code, uint64_t length, uint64_t to,
                   uint8_t moved[HOOK_MOVED_LIMIT], size_t *used, struct error *error)
{
    const uint8_t jump = 0xe9;
    struct mover mover = {.to = moved,
                          .address = to,
                          .first = code->address,
                          .end = code->address + length,
                          .error = error};
    struct instruction at;
    int result = 0;

    for (uint64_t done = 0; done < length && result == 0; done += at.z.length) {
        const uint8_t *bytes = code->bytes + done;

        if (!instruction_decode(bytes, code->length - done, code->address + done, &at))
            return error_set(error, EINVAL, "no instruction at %#" PRIx64, code->address + done);
        if (instruction_is_relative(&at))
            result = move_branch(&mover, &at);
        else if (at.z.attributes & ZYDIS_ATTRIB_IS_RELATIVE && at.z.raw.disp.size == 32)
            result = move_relative(&mover, &at, bytes);
        else if (at.z.attributes & ZYDIS_ATTRIB_IS_RELATIVE)
            result = error_set(error, EINVAL, "the instruction at %#" PRIx64 " cannot be moved",
                               at.address);
        else
            result = put(&mover, bytes, at.z.length);
    }
    if (result == 0)
        result = put_branch(&mover, &jump, 1, code->address + length);
    *used = mover.used;
    return result;
}

int hook_code_jump(uint8_t *to, uint64_t from, uint64_t target)
{
    int64_t distance = (int64_t)(target - (from + JUMP_BYTES));
    int32_t short_distance = (int32_t)distance;

    if (distance != short_distance)
        return -ERANGE;
    to[0] = 0xe9;
    memcpy(to + 1, &short_distance, 4);
    return 0;
}

void hook_code_gate(uint8_t *to, uint64_t gate, uint8_t index)
{
    const uint32_t address = (uint32_t)gate;

    to[0] = 0xc6; /* movb $index, address */
    to[1] = 0x04;
    to[2] = 0x25;
    memcpy(to + 3, &address, sizeof(address));
    to[7] = index;
}

/* --- padding --- */

static uint32_t trap_offset(void)
{
    return (uint32_t)(PAGE_SIZE - HARMLESS_TAIL - HOOK_GATE_BYTES);
}

void hook_code_pad(uint8_t *page, uint64_t gate, const uint32_t *entry, size_t count)
{
    memset(page, NOP, PAGE_SIZE);
    for (size_t i = 0; i < count; i++)
        hook_code_gate(page + entry[i], gate, HOOK_INDEX);
    hook_code_gate(page + trap_offset(), gate, HOOK_TRAP_INDEX);
    memset(page + trap_offset() + HOOK_GATE_BYTES, INT3, HARMLESS_TAIL);
}

/* What control does at this instruction. */
enum step {
    STEP_ON,
    STEP_ENDS, /* a gate, or an exception */
    STEP_WRONG
};

static bool is_entry(uint32_t offset, const uint32_t *entry, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (entry[i] == offset)
            return true;
    return false;
}

static enum step step(const struct instruction *at, uint32_t offset, const uint32_t *entry,
                      size_t count)
{
    switch ((int)at->z.meta.category) {
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_RET:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_VTX:
        return STEP_WRONG;
    case ZYDIS_CATEGORY_INTERRUPT:
        return at->z.mnemonic == ZYDIS_MNEMONIC_INT3 ? STEP_ENDS : STEP_WRONG;
    default:
        break;
    }
    if (at->z.mnemonic == ZYDIS_MNEMONIC_VMMCALL)
        return STEP_WRONG;
    return is_entry(offset, entry, count) || offset == trap_offset() ? STEP_ENDS : STEP_ON;
}

int hook_code_prove(const uint8_t *page, uint64_t address, uint64_t gate, const uint32_t *entry,
                    size_t count, struct error *error)
{
    uint8_t expected[HOOK_GATE_BYTES];
    struct instruction at;

    hook_code_gate(expected, gate, HOOK_TRAP_INDEX);
    if (memcmp(page + trap_offset(), expected, sizeof(expected)) != 0)
        return error_set(error, EINVAL, "there is no gate at the end");
    /* From the end: where an instruction leads to has been looked at. */
    for (uint32_t offset = PAGE_SIZE; offset-- > 0;) {
        if (!instruction_decode(page + offset, PAGE_SIZE - offset, address + offset, &at)) {
            if (PAGE_SIZE - offset < LONGEST)
                return error_set(error, EINVAL,
                                 "from offset %#x an instruction crosses the page's end", offset);
            continue; /* an exception */
        }
        switch (step(&at, offset, entry, count)) {
        case STEP_WRONG:
            return error_set(error, EINVAL, "at offset %#x control gets to %s", offset,
                             ZydisMnemonicGetString(at.z.mnemonic));
        case STEP_ON:
            if (offset + at.z.length >= PAGE_SIZE)
                return error_set(error, EINVAL, "from offset %#x control leaves the page", offset);
            break;
        case STEP_ENDS:
        default:
            break;
        }
    }
    return 0;
}
