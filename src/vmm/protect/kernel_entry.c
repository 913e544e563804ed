/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/protect/kernel_entry.h"

#include <string.h>

#include "vmm/l2.h"
#include "vmm/protect/gate.h"
#include "vmm/vmcs/x86.h"

#define TSS_SIZE        104U
#define TSS_RSP0        4U
#define TSS_IST1        36U
#define TSS_ISTS        7U
#define INTERRUPT_FRAME 40U /* SDM 7.14.2: RIP, CS, RFLAGS, RSP, SS */
#define FRAME_RFLAGS    16U
#define ERROR_CODE      8U
#define OPCODE_INT      0xcd
#define INT_LENGTH      2U
#define VECTOR_INVALID  6U
#define EXCEPTIONS      32U

static bool read_gate(const struct guest_memory *memory, unsigned int vector, struct gate *gate)
{
    const struct kvm_sregs *sregs = &memory->vcpu->kvm->run->s.regs.sregs;

    return vector < gates_within(sregs->idt.limit) &&
           guest_memory_read_linear(memory, sregs->cr3, sregs->idt.base + vector * sizeof(*gate),
                                    gate, sizeof(*gate)) == 0 &&
           gate_is_present(gate);
}

bool kernel_entry_handler(const struct guest_memory *memory, unsigned int vector, uint64_t *handler)
{
    struct gate gate;

    if (!read_gate(memory, vector, &gate))
        return false;
    *handler = gate_handler(&gate);
    return true;
}

/* Whether the handler at RIP is this vector's, and no other vector's: then it was this one. */
static bool is_handler_of(const struct guest_memory *memory, unsigned int vector)
{
    const struct kvm_sync_regs *now = &memory->vcpu->kvm->run->s.regs;
    const unsigned int count = gates_within(now->sregs.idt.limit);
    struct gate idt[GATES];
    unsigned int its = 0;

    if (guest_memory_read_linear(memory, now->sregs.cr3, now->sregs.idt.base, idt,
                                 count * sizeof(*idt)) != 0)
        return false;
    for (unsigned int i = 0; i < count; i++)
        if (gate_is_present(&idt[i]) && gate_handler(&idt[i]) == now->regs.rip)
            its += i == vector ? 1 : 2;
    return its == 1;
}

/* Where the processor lays the frame (SDM 7.14.2): RSP was aligned before, so what it is now tells
 * of an error code. */
static uint64_t frame_at(const struct guest_memory *memory)
{
    const uint64_t rsp = memory->vcpu->kvm->run->s.regs.regs.rsp;

    return rsp % 16 == 0 ? rsp + ERROR_CODE : rsp;
}

/* Whether that is where a stack of the TSS begins. */
static bool is_on_stack(const struct guest_memory *memory, uint64_t at)
{
    const struct kvm_sregs *sregs = &memory->vcpu->kvm->run->s.regs.sregs;
    uint8_t tss[TSS_SIZE];
    uint64_t top;

    if (guest_memory_read_linear(memory, sregs->cr3, sregs->tr.base, tss, sizeof(tss)) != 0)
        return false;
    for (unsigned int i = 0; i <= TSS_ISTS; i++) {
        memcpy(&top, tss + (i == 0 ? TSS_RSP0 : TSS_IST1 + 8 * (i - 1)), sizeof(top));
        top &= ~15ULL;
        if (top != 0 && at == top - INTERRUPT_FRAME)
            return true;
    }
    return false;
}

/* Whether ring 3 may call this vector, and an invalid opcode gets to the kernel as it would: with
 * the same segment, stack and flags. */
static bool is_callable(const struct guest_memory *memory, unsigned int vector)
{
    struct gate call;
    struct gate invalid;

    return read_gate(memory, vector, &call) && read_gate(memory, VECTOR_INVALID, &invalid) &&
           gate_ring(&call) == 3 && call.selector == invalid.selector && call.ist == invalid.ist &&
           gate_type(&call) == gate_type(&invalid);
}

/* Whether the INT before the frame's RIP called the kernel: the bytes may be another instruction's,
 * so the vector has to be none that the processor comes by itself with. */
static bool was_called(const struct guest_memory *memory, unsigned int vector)
{
    struct gate gate;

    return vector >= EXCEPTIONS && read_gate(memory, vector, &gate) && gate_ring(&gate) == 3 &&
           is_handler_of(memory, vector);
}

/* Whether the kernel was called by the INT that lies at, or before, the frame's RIP. */
static void find_system_call(struct kernel_entry *entry, const struct guest_memory *memory)
{
    const struct kvm_sync_regs *now = &memory->vcpu->kvm->run->s.regs;
    uint8_t bytes[INT_LENGTH];

    if (guest_memory_read_linear(memory, now->sregs.cr3, entry->rip - INT_LENGTH, bytes,
                                 sizeof(bytes)) == 0 &&
        bytes[0] == OPCODE_INT && was_called(memory, bytes[1])) {
        entry->system_call = true;
        return;
    }
    if (guest_memory_read_linear(memory, now->sregs.cr3, entry->rip, bytes, sizeof(bytes)) == 0 &&
        bytes[0] == OPCODE_INT && is_handler_of(memory, VECTOR_INVALID)) {
        entry->system_call = true;
        entry->next_rip = entry->rip + INT_LENGTH;
        if (!is_callable(memory, bytes[1]) ||
            !kernel_entry_handler(memory, bytes[1], &entry->call_handler))
            entry->call_handler = 0;
    }
}

/* `syscall` and `sysenter` push no frame, and leave RSP where a caller or the kernel has it: what
 * lies there may look like one. The shadow is true, see portions/delivery.c. */
static bool is_without_frame(const struct guest_memory *memory)
{
    const struct mezz_vmcs12_msrs *msrs = &memory->vcpu->msr_shadow;
    const struct kvm_sync_regs *regs = &memory->vcpu->kvm->run->s.regs;
    const uint64_t rip = regs->regs.rip;

    return (regs->sregs.efer & EFER_SCE && (rip == msrs->lstar || rip == msrs->cstar)) ||
           (msrs->sysenter_cs != 0 && rip == msrs->sysenter_eip);
}

void kernel_entry_find(struct kernel_entry *entry, const struct guest_memory *memory)
{
    const uint64_t cr3 = memory->vcpu->kvm->run->s.regs.sregs.cr3;
    const uint64_t at = frame_at(memory);
    uint64_t frame[INTERRUPT_FRAME / 8];
    bool on_stack;
    bool without;

    *entry = (struct kernel_entry){.known = false};
    if (guest_memory_read_linear(memory, cr3, at, frame, sizeof(frame)) != 0)
        return;
    without = is_without_frame(memory);
    /* A kernel may also let both lead to one handler. */
    on_stack = is_on_stack(memory, at);
    if ((frame[1] & 3U) == 3 && (on_stack || !without))
        *entry = (struct kernel_entry){.flags_at = at + FRAME_RFLAGS, .rflags = frame[2]};
    if (without || !on_stack)
        return;
    entry->known = true;
    entry->frame = at;
    entry->rip = frame[0];
    entry->cs = (uint16_t)frame[1];
    entry->rflags = frame[2];
    entry->rsp = frame[3];
    find_system_call(entry, memory);
}
