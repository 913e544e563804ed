/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an L1 without callbacks, without a shared page and without shadow VMCS does for each exit:
 * each VMREAD and VMWRITE is an exit to the root.
 *
 * The lists are what Linux's KVM touches as an L1 for one exit whose instruction it emulates itself
 * (vmx_vcpu_run, vmx_complete_interrupts, vmx_handle_exit, x86_emulate_instruction with its
 * init_emulate_ctxt and writeback, vmx_inject_irq, the interrupt window, the preemption timer, the
 * next vmx_vcpu_run), as far as a VMCS12 has the field. KVM caches a field within one exit, so each
 * is read once. Not in the lists, although the Turtles paper counts them: the host-state area,
 * which the call ENTER has no need of, and the VMREADs of fields that do not change and that KVM
 * keeps. General registers but RSP are not in a VMCS: RAX is here because of this ABI, where a
 * VMCS12 has it. 24 reads and 14 writes: 38 calls. The cost of the classic arm is proportional to
 * their number.
 */
#include "bench_l1.h"
#include "mezz/guest.h"

#define FIELD(name)   MEZZ_VMCS12_FIELD(name)
#define SEGMENT(name) system.segment[MEZZ_##name]
#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))

static const uint64_t exit_fields[] = {
    /* vmx_vcpu_run, vmx_complete_interrupts */
    FIELD(exit.reason),
    FIELD(exit.interruption_info),
    FIELD(exit.interruption_error_code),
    FIELD(exit.idt_vectoring_info),
    FIELD(exit.idt_vectoring_error_code),
    FIELD(exit.instruction_length),
    /* handle_io, handle_ept_violation */
    FIELD(exit.qualification),
    FIELD(exit.guest_physical_address),
    FIELD(exit.flags),
    FIELD(exit.value),
    FIELD(exit.size),
    /* the emulator's context, and what it walks page tables with */
    FIELD(regs.guest_rip),
    FIELD(regs.guest_rflags),
    FIELD(regs.gpr[MEZZ_RSP]),
    FIELD(regs.gpr[MEZZ_RAX]),
    FIELD(SEGMENT(CS).access_rights),
    FIELD(SEGMENT(CS).base),
    FIELD(SEGMENT(SS).access_rights),
    FIELD(SEGMENT(DS).base),
    FIELD(system.guest_cr0),
    FIELD(system.guest_cr3),
    FIELD(system.guest_cr4),
    FIELD(system.guest_efer),
    /* skipping the instruction, and the interrupt window */
    FIELD(events.interruptibility_state),
};

static const uint64_t entry_fields[] = {
    /* the emulator's writeback */
    FIELD(regs.guest_rip),
    FIELD(regs.guest_rflags),
    FIELD(regs.gpr[MEZZ_RSP]),
    FIELD(regs.gpr[MEZZ_RAX]),
    FIELD(events.interruptibility_state),
    /* what a read would read */
    FIELD(completion.value),
    FIELD(completion.flags),
    /* the event to inject, wake-ups */
    FIELD(events.entry_interruption_info),
    FIELD(events.entry_exception_error_code),
    FIELD(events.activity_state),
    /* interrupt window, preemption timer, debug and MSR switching */
    FIELD(controls.cpu_based),
    FIELD(controls.pin_based),
    FIELD(controls.preemption_timer),
    FIELD(controls.exit_controls),
};

/* Places of register fields in exit_fields. */
enum {
    READ_RIP = 11,
    READ_RFLAGS,
    READ_RSP,
    READ_RAX
};

void classic_exit_and_entry(uint64_t vcpu)
{
    static uint64_t read[COUNT(exit_fields)];
    static uint64_t written[COUNT(entry_fields)] = {
        [10] = MEZZ_CPU_HLT_EXITING | MEZZ_CPU_USE_IO_BITMAPS,
    };

    for (unsigned int i = 0; i < COUNT(exit_fields); i++)
        read[i] = mezz_call_value(MEZZ_CALL_VMREAD, vcpu, exit_fields[i], 0).value;
    for (unsigned int i = 0; i < 4; i++)
        written[i] = read[READ_RIP + i];
    for (unsigned int i = 0; i < COUNT(entry_fields); i++)
        mezz_call(MEZZ_CALL_VMWRITE, vcpu, entry_fields[i], written[i]);
}
