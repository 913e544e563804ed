/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/exits/operands.h"

#include <Zydis/Zydis.h>

#include "vmm/exits/drain.h"
#include "vmm/l2.h"

#define STACK_BYTES 40U /* what IRET takes, more than any other */

static uint64_t value_of(const struct kvm_sync_regs *now, ZydisRegister name, uint64_t next)
{
    const struct kvm_regs *r = &now->regs;
    const uint64_t gpr[16] = {r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
                              r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15};
    const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, name);

    if (whole == ZYDIS_REGISTER_RIP)
        return next;
    if (whole < ZYDIS_REGISTER_RAX || whole > ZYDIS_REGISTER_R15)
        return 0;
    return gpr[whole - ZYDIS_REGISTER_RAX];
}

static uint64_t address_of(const struct kvm_sync_regs *now, const ZydisDecodedInstruction *z,
                           const ZydisDecodedOperandMem *mem)
{
    uint64_t next = now->regs.rip + z->length;
    uint64_t address = value_of(now, mem->base, next) +
                       value_of(now, mem->index, next) * mem->scale + (uint64_t)mem->disp.value;

    if (z->address_width == 32)
        address = (uint32_t)address;
    if (mem->segment == ZYDIS_REGISTER_FS)
        return address + now->sregs.fs.base;
    return mem->segment == ZYDIS_REGISTER_GS ? address + now->sregs.gs.base : address;
}

size_t operands_of(struct l2_vcpu *vcpu, struct operand operands[OPERANDS_LIMIT])
{
    const struct kvm_sync_regs *now = &vcpu->kvm->run->s.regs;
    ZydisDecodedOperand decoded[ZYDIS_MAX_OPERAND_COUNT];
    uint8_t code[CODE_LENGTH];
    ZydisDecodedInstruction z;
    ZydisDecoder decoder;
    size_t count = 0;
    size_t length;

    if (!l2_runs_64_bit(vcpu))
        return 0;
    length = l2_read_code(vcpu, code);
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, length, &z, decoded)))
        return 0;
    for (size_t i = 0; i < z.operand_count && count < OPERANDS_LIMIT - 1; i++) {
        const ZydisDecodedOperand *one = &decoded[i];

        if (one->type == ZYDIS_OPERAND_TYPE_MEMORY && one->mem.type == ZYDIS_MEMOP_TYPE_MEM)
            operands[count++] =
                (struct operand){address_of(now, &z, &one->mem), one->size < 8 ? 1 : one->size / 8U,
                                 one->actions & ZYDIS_OPERAND_ACTION_MASK_READ,
                                 one->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE};
    }
    /* Of IRET and the like a decoder says less than what they take. */
    operands[count++] = (struct operand){now->regs.rsp, STACK_BYTES, true, false};
    return count;
}
