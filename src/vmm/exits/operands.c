/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/exits/operands.h"

#include <Zydis/Zydis.h>

#include "vmm/exits/drain.h"
#include "vmm/l2_policy.h"
#include "vmm/vmcs/x86.h"

#define STACK_BYTES 40U /* what IRET takes, more than any other */

/* An instruction as the vCPU's mode has it. */
struct decoded {
    ZydisDecodedInstruction z;
    ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
    bool wide; /* 64-bit mode */
};

static bool decode(struct l2_vcpu *vcpu, struct decoded *to)
{
    const struct kvm_sregs *sregs = &vcpu->kvm->run->s.regs.sregs;
    ZydisMachineMode mode = ZYDIS_MACHINE_MODE_LONG_64;
    ZydisStackWidth stack = ZYDIS_STACK_WIDTH_64;
    uint8_t code[CODE_LENGTH];
    ZydisDecoder decoder;
    size_t length;

    to->wide = l2_runs_64_bit(vcpu);
    if (!(sregs->cr0 & CR0_PE) || l2_regs(vcpu)->rflags & RFLAGS_VM)
        return false;
    if (!to->wide) {
        mode = sregs->cs.db ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32 : ZYDIS_MACHINE_MODE_LONG_COMPAT_16;
        stack = sregs->ss.db ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16;
    }
    length = l2_read_code(vcpu, code);
    ZydisDecoderInit(&decoder, mode, stack);
    return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, length, &to->z, to->operand));
}

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

static uint64_t base_of(const struct kvm_sregs *sregs, ZydisRegister segment, bool wide)
{
    switch ((int)segment) {
    case ZYDIS_REGISTER_FS:
        return sregs->fs.base;
    case ZYDIS_REGISTER_GS:
        return sregs->gs.base;
    case ZYDIS_REGISTER_CS:
        return wide ? 0 : sregs->cs.base;
    case ZYDIS_REGISTER_SS:
        return wide ? 0 : sregs->ss.base;
    case ZYDIS_REGISTER_ES:
        return wide ? 0 : sregs->es.base;
    default:
        return wide ? 0 : sregs->ds.base;
    }
}

static uint64_t address_of(const struct kvm_sync_regs *now, const struct decoded *code,
                           const ZydisDecodedOperandMem *mem)
{
    uint64_t next = now->regs.rip + code->z.length;
    uint64_t address = value_of(now, mem->base, next) +
                       value_of(now, mem->index, next) * mem->scale + (uint64_t)mem->disp.value;

    if (code->z.address_width != 64)
        address &= (1ULL << code->z.address_width) - 1;
    address += base_of(&now->sregs, mem->segment, code->wide);
    return code->wide ? address : (uint32_t)address;
}

/* Of IRET and the like a decoder says less than what they take. */
static uint64_t stack_of(const struct kvm_sync_regs *now, bool wide)
{
    if (wide)
        return now->regs.rsp;
    return (uint32_t)(now->sregs.ss.base +
                      (now->regs.rsp & (now->sregs.ss.db ? UINT32_MAX : UINT16_MAX)));
}

static size_t collect(const struct l2_vcpu *vcpu, const struct decoded *code,
                      struct operand operands[OPERANDS_LIMIT])
{
    const struct kvm_sync_regs *now = &vcpu->kvm->run->s.regs;
    size_t count = 0;

    for (size_t i = 0; i < code->z.operand_count && count < OPERANDS_LIMIT - 1; i++) {
        const ZydisDecodedOperand *one = &code->operand[i];

        if (one->type == ZYDIS_OPERAND_TYPE_MEMORY && one->mem.type == ZYDIS_MEMOP_TYPE_MEM)
            operands[count++] = (struct operand){address_of(now, code, &one->mem),
                                                 one->size < 8 ? 1 : one->size / 8U,
                                                 one->actions & ZYDIS_OPERAND_ACTION_MASK_READ,
                                                 one->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE};
    }
    return count;
}

size_t operands_of(struct l2_vcpu *vcpu, struct operand operands[OPERANDS_LIMIT])
{
    struct decoded code;
    size_t count;

    if (!decode(vcpu, &code))
        return 0;
    count = collect(vcpu, &code, operands);
    operands[count++] =
        (struct operand){stack_of(&vcpu->kvm->run->s.regs, code.wide), STACK_BYTES, true, false};
    return count;
}

size_t operands_of_endless(struct l2_vcpu *vcpu, struct operand operands[OPERANDS_LIMIT])
{
    struct decoded code;

    if (!decode(vcpu, &code))
        return 0;
    switch ((int)code.z.mnemonic) {
    case ZYDIS_MNEMONIC_SGDT:
    case ZYDIS_MNEMONIC_SIDT:
    case ZYDIS_MNEMONIC_LGDT:
    case ZYDIS_MNEMONIC_LIDT:
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
        return collect(vcpu, &code, operands);
    default:
        return 0;
    }
}
