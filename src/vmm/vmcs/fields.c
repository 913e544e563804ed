/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vmcs/fields.h"

#include "mezz/vmcs12.h"

/* Each field's width, by half its offset: all are at even ones. */
#define WIDTH      0xfU
#define READ_ONLY  0U
#define READ_WRITE 0x10U

#define FIELD(name, access)                    \
    [offsetof(struct mezz_vmcs12, name) / 2] = \
        (uint8_t)(sizeof(((struct mezz_vmcs12 *)0)->name) | (access))

#define GPR(i) FIELD(regs.gpr[i], READ_WRITE)
#define SEGMENT(i)                                                                         \
    FIELD(system.segment[i].base, READ_WRITE), FIELD(system.segment[i].limit, READ_WRITE), \
        FIELD(system.segment[i].access_rights, READ_WRITE),                                \
        FIELD(system.segment[i].selector, READ_WRITE)
#define RECORD(i)                                                                  \
    FIELD(sync.record[i].object, READ_ONLY), FIELD(sync.record[i].key, READ_ONLY), \
        FIELD(sync.record[i].from, READ_ONLY), FIELD(sync.record[i].to, READ_ONLY)
#define FOUR(what, i) what(i), what((i) + 1), what((i) + 2), what((i) + 3)

#define FIELDS_END    offsetof(struct mezz_vmcs12, reserved4)

static const uint8_t fields[FIELDS_END / 2] = {
    FIELD(revision, READ_WRITE),
    FIELD(abort, READ_ONLY),
    FIELD(clean, READ_WRITE),
    FIELD(changed, READ_WRITE),
    FIELD(exit.reason, READ_ONLY),
    FIELD(exit.flags, READ_ONLY),
    FIELD(exit.qualification, READ_ONLY),
    FIELD(exit.guest_physical_address, READ_ONLY),
    FIELD(exit.value, READ_ONLY),
    FIELD(exit.size, READ_ONLY),
    FIELD(exit.msr, READ_ONLY),
    FIELD(exit.interruption_info, READ_ONLY),
    FIELD(exit.interruption_error_code, READ_ONLY),
    FIELD(exit.idt_vectoring_info, READ_ONLY),
    FIELD(exit.idt_vectoring_error_code, READ_ONLY),
    FIELD(exit.instruction_length, READ_ONLY),
    FIELD(exit.vm_instruction_error, READ_ONLY),
    FIELD(exit.count, READ_ONLY),
    FIELD(completion.value, READ_WRITE),
    FIELD(completion.flags, READ_WRITE),
    FIELD(events.interruptibility_state, READ_WRITE),
    FIELD(events.activity_state, READ_WRITE),
    FIELD(events.entry_interruption_info, READ_WRITE),
    FIELD(events.entry_exception_error_code, READ_WRITE),
    FIELD(ept.eptp, READ_WRITE),
    FIELD(ept.eptp_index, READ_WRITE),
    FOUR(GPR, 0),
    FOUR(GPR, 4),
    FOUR(GPR, 8),
    FOUR(GPR, 12),
    FIELD(regs.guest_rip, READ_WRITE),
    FIELD(regs.guest_rflags, READ_WRITE),
    FOUR(SEGMENT, 0),
    FOUR(SEGMENT, 4),
    FIELD(system.gdtr.base, READ_WRITE),
    FIELD(system.gdtr.limit, READ_WRITE),
    FIELD(system.idtr.base, READ_WRITE),
    FIELD(system.idtr.limit, READ_WRITE),
    FIELD(system.guest_cr0, READ_WRITE),
    FIELD(system.guest_cr2, READ_WRITE),
    FIELD(system.guest_cr3, READ_WRITE),
    FIELD(system.guest_cr4, READ_WRITE),
    FIELD(system.guest_efer, READ_WRITE),
    FIELD(msrs.sysenter_cs, READ_WRITE),
    FIELD(msrs.sysenter_esp, READ_WRITE),
    FIELD(msrs.sysenter_eip, READ_WRITE),
    FIELD(msrs.pat, READ_WRITE),
    FIELD(msrs.star, READ_WRITE),
    FIELD(msrs.lstar, READ_WRITE),
    FIELD(msrs.cstar, READ_WRITE),
    FIELD(msrs.sfmask, READ_WRITE),
    FIELD(msrs.kernel_gs_base, READ_WRITE),
    FIELD(msrs.tsc_aux, READ_WRITE),
    FIELD(debug.dr[0], READ_WRITE),
    FIELD(debug.dr[1], READ_WRITE),
    FIELD(debug.dr[2], READ_WRITE),
    FIELD(debug.dr[3], READ_WRITE),
    FIELD(debug.dr6, READ_WRITE),
    FIELD(debug.dr7, READ_WRITE),
    FIELD(controls.pin_based, READ_WRITE),
    FIELD(controls.cpu_based, READ_WRITE),
    FIELD(controls.cpu_based_secondary, READ_WRITE),
    FIELD(controls.preemption_timer, READ_WRITE),
    FIELD(controls.io_bitmap_a, READ_WRITE),
    FIELD(controls.io_bitmap_b, READ_WRITE),
    FIELD(controls.msr_bitmap, READ_WRITE),
    FIELD(controls.tsc_offset, READ_WRITE),
    FIELD(controls.exit_controls, READ_WRITE),
    FIELD(sync.count, READ_ONLY),
    FIELD(sync.more, READ_ONLY),
    FOUR(RECORD, 0),
    FOUR(RECORD, 4),
    FOUR(RECORD, 8),
    FOUR(RECORD, 12),
};
_Static_assert(MEZZ_SYNC_RECORDS == 16 && MEZZ_REGISTER_COUNT == 16 && MEZZ_SEGMENT_COUNT == 8,
               "the arrays' elements above");

bool vmcs12_field_exists(uint64_t name, bool write)
{
    uint32_t offset = MEZZ_FIELD_OFFSET(name);
    uint8_t field;

    if (name >> 20 != 0 || offset >= FIELDS_END || offset % 2 != 0)
        return false;
    field = fields[offset / 2];
    return field != 0 && (field & WIDTH) == MEZZ_FIELD_WIDTH(name) &&
           (!write || field & READ_WRITE);
}

uint64_t vmcs12_field_group(uint64_t name)
{
    static const struct {
        uint32_t start;
        int group;
    } groups[] = {
        {offsetof(struct mezz_vmcs12, controls), MEZZ_GROUP_CONTROLS},
        {offsetof(struct mezz_vmcs12, debug), MEZZ_GROUP_DEBUG},
        {offsetof(struct mezz_vmcs12, msrs), MEZZ_GROUP_MSRS},
        {offsetof(struct mezz_vmcs12, system), MEZZ_GROUP_SYSTEM},
        {offsetof(struct mezz_vmcs12, regs), MEZZ_GROUP_REGS},
        {offsetof(struct mezz_vmcs12, ept), MEZZ_GROUP_EPT},
        {offsetof(struct mezz_vmcs12, events), MEZZ_GROUP_EVENTS},
    };

    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
        if (MEZZ_FIELD_OFFSET(name) >= groups[i].start)
            return MEZZ_GROUP_BIT(groups[i].group);
    return 0;
}
