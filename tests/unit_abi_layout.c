/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layouts of ABI version 1, written down a second time: an L1 that was built with other headers
 * of the same version counts on each of these. A row may be added where a field was reserved; one
 * that changes is another version of the ABI.
 */
#include <stdint.h>
#include <string.h>

#include "mezz/callback.h"
#include "mezz/calls.h"
#include "mezz/ept.h"
#include "mezz/firmware.h"
#include "mezz/gate.h"
#include "mezz/pvh.h"
#include "mezz/vmcs12.h"
#include "runner.h"

#define FIELD(in, name, at, length)                                                  \
    {                                                                                \
        .structure = #in, .field = #name, .whole = sizeof(struct in),                \
        .offset = offsetof(struct in, name), .size = sizeof(((struct in *)0)->name), \
        .expected_offset = at, .expected_size = length                               \
    }

static const struct {
    const char *structure, *field;
    size_t whole, offset, size, expected_offset, expected_size;
} fields[] = {
    FIELD(mezz_gate_site, rip, 0, 8),
    FIELD(mezz_gate_site, cr3, 8, 8),
    FIELD(mezz_gate_site, from, 16, 4),
    FIELD(mezz_gate_site, to, 20, 4),
    FIELD(mezz_gate_site, reserved, 24, 8),

    FIELD(mezz_segment, base, 0, 8),
    FIELD(mezz_segment, limit, 8, 4),
    FIELD(mezz_segment, access_rights, 12, 4),
    FIELD(mezz_segment, selector, 16, 2),
    FIELD(mezz_segment, reserved, 18, 6),

    FIELD(mezz_descriptor_table, base, 0, 8),
    FIELD(mezz_descriptor_table, limit, 8, 4),
    FIELD(mezz_descriptor_table, reserved, 12, 4),

    FIELD(mezz_vmcs12_regs, gpr, 0, 128),
    FIELD(mezz_vmcs12_regs, guest_rip, 128, 8),
    FIELD(mezz_vmcs12_regs, guest_rflags, 136, 8),

    FIELD(mezz_vmcs12_system, segment, 0, 192),
    FIELD(mezz_vmcs12_system, gdtr, 192, 16),
    FIELD(mezz_vmcs12_system, idtr, 208, 16),
    FIELD(mezz_vmcs12_system, guest_cr0, 224, 8),
    FIELD(mezz_vmcs12_system, guest_cr2, 232, 8),
    FIELD(mezz_vmcs12_system, guest_cr3, 240, 8),
    FIELD(mezz_vmcs12_system, guest_cr4, 248, 8),
    FIELD(mezz_vmcs12_system, guest_efer, 256, 8),
    FIELD(mezz_vmcs12_system, reserved, 264, 8),

    FIELD(mezz_vmcs12_msrs, sysenter_cs, 0, 8),
    FIELD(mezz_vmcs12_msrs, sysenter_esp, 8, 8),
    FIELD(mezz_vmcs12_msrs, sysenter_eip, 16, 8),
    FIELD(mezz_vmcs12_msrs, pat, 24, 8),
    FIELD(mezz_vmcs12_msrs, star, 32, 8),
    FIELD(mezz_vmcs12_msrs, lstar, 40, 8),
    FIELD(mezz_vmcs12_msrs, cstar, 48, 8),
    FIELD(mezz_vmcs12_msrs, sfmask, 56, 8),
    FIELD(mezz_vmcs12_msrs, kernel_gs_base, 64, 8),
    FIELD(mezz_vmcs12_msrs, tsc_aux, 72, 8),
    FIELD(mezz_vmcs12_msrs, reserved, 80, 16),

    FIELD(mezz_vmcs12_debug, dr, 0, 32),
    FIELD(mezz_vmcs12_debug, dr6, 32, 8),
    FIELD(mezz_vmcs12_debug, dr7, 40, 8),

    FIELD(mezz_vmcs12_events, interruptibility_state, 0, 4),
    FIELD(mezz_vmcs12_events, activity_state, 4, 4),
    FIELD(mezz_vmcs12_events, entry_interruption_info, 8, 4),
    FIELD(mezz_vmcs12_events, entry_exception_error_code, 12, 4),

    FIELD(mezz_vmcs12_controls, pin_based, 0, 4),
    FIELD(mezz_vmcs12_controls, cpu_based, 4, 4),
    FIELD(mezz_vmcs12_controls, cpu_based_secondary, 8, 4),
    FIELD(mezz_vmcs12_controls, preemption_timer, 12, 4),
    FIELD(mezz_vmcs12_controls, io_bitmap_a, 16, 8),
    FIELD(mezz_vmcs12_controls, io_bitmap_b, 24, 8),
    FIELD(mezz_vmcs12_controls, msr_bitmap, 32, 8),
    FIELD(mezz_vmcs12_controls, tsc_offset, 40, 8),
    FIELD(mezz_vmcs12_controls, exit_controls, 48, 4),
    FIELD(mezz_vmcs12_controls, reserved, 52, 4),
    FIELD(mezz_vmcs12_controls, reserved2, 56, 8),

    FIELD(mezz_vmcs12_ept, eptp, 0, 8),
    FIELD(mezz_vmcs12_ept, eptp_index, 8, 4),
    FIELD(mezz_vmcs12_ept, reserved, 12, 4),

    FIELD(mezz_vmcs12_exit, reason, 0, 4),
    FIELD(mezz_vmcs12_exit, flags, 4, 4),
    FIELD(mezz_vmcs12_exit, qualification, 8, 8),
    FIELD(mezz_vmcs12_exit, guest_physical_address, 16, 8),
    FIELD(mezz_vmcs12_exit, value, 24, 8),
    FIELD(mezz_vmcs12_exit, size, 32, 4),
    FIELD(mezz_vmcs12_exit, msr, 36, 4),
    FIELD(mezz_vmcs12_exit, interruption_info, 40, 4),
    FIELD(mezz_vmcs12_exit, interruption_error_code, 44, 4),
    FIELD(mezz_vmcs12_exit, idt_vectoring_info, 48, 4),
    FIELD(mezz_vmcs12_exit, idt_vectoring_error_code, 52, 4),
    FIELD(mezz_vmcs12_exit, instruction_length, 56, 4),
    FIELD(mezz_vmcs12_exit, vm_instruction_error, 60, 4),
    FIELD(mezz_vmcs12_exit, count, 64, 8),

    FIELD(mezz_vmcs12_completion, value, 0, 8),
    FIELD(mezz_vmcs12_completion, flags, 8, 4),
    FIELD(mezz_vmcs12_completion, reserved, 12, 4),

    FIELD(mezz_sync_record, object, 0, 4),
    FIELD(mezz_sync_record, reserved, 4, 4),
    FIELD(mezz_sync_record, key, 8, 8),
    FIELD(mezz_sync_record, from, 16, 8),
    FIELD(mezz_sync_record, to, 24, 8),

    FIELD(mezz_sync_area, count, 0, 4),
    FIELD(mezz_sync_area, more, 4, 4),
    FIELD(mezz_sync_area, reserved, 8, 8),
    FIELD(mezz_sync_area, record, 16, 512),

    FIELD(mezz_vmcs12, revision, 0, 4),
    FIELD(mezz_vmcs12, abort, 4, 4),
    FIELD(mezz_vmcs12, clean, 8, 8),
    FIELD(mezz_vmcs12, changed, 16, 8),
    FIELD(mezz_vmcs12, reserved, 24, 8),
    FIELD(mezz_vmcs12, exit, 32, 72),
    FIELD(mezz_vmcs12, completion, 104, 16),
    FIELD(mezz_vmcs12, events, 120, 16),
    FIELD(mezz_vmcs12, ept, 136, 16),
    FIELD(mezz_vmcs12, reserved2, 152, 8),
    FIELD(mezz_vmcs12, regs, 160, 144),
    FIELD(mezz_vmcs12, system, 304, 272),
    FIELD(mezz_vmcs12, msrs, 576, 96),
    FIELD(mezz_vmcs12, debug, 672, 48),
    FIELD(mezz_vmcs12, controls, 720, 64),
    FIELD(mezz_vmcs12, reserved3, 784, 240),
    FIELD(mezz_vmcs12, sync, 1024, 528),
    FIELD(mezz_vmcs12, reserved4, 1552, 2544),

    FIELD(mezz_condition, field, 0, 2),
    FIELD(mezz_condition, op, 2, 2),
    FIELD(mezz_condition, reserved, 4, 4),
    FIELD(mezz_condition, a, 8, 8),
    FIELD(mezz_condition, b, 16, 8),

    FIELD(mezz_callback_registration, l2, 0, 4),
    FIELD(mezz_callback_registration, reason, 4, 4),
    FIELD(mezz_callback_registration, mode, 8, 4),
    FIELD(mezz_callback_registration, order, 12, 4),
    FIELD(mezz_callback_registration, handler, 16, 8),
    FIELD(mezz_callback_registration, stack, 24, 8),
    FIELD(mezz_callback_registration, frame, 32, 8),
    FIELD(mezz_callback_registration, state_mask, 40, 8),
    FIELD(mezz_callback_registration, cookie, 48, 8),
    FIELD(mezz_callback_registration, condition_count, 56, 4),
    FIELD(mezz_callback_registration, replace, 60, 4),
    FIELD(mezz_callback_registration, condition, 64, 192),

    FIELD(mezz_callback_frame, callback, 0, 4),
    FIELD(mezz_callback_frame, l2, 4, 4),
    FIELD(mezz_callback_frame, vcpu, 8, 4),
    FIELD(mezz_callback_frame, view, 12, 4),
    FIELD(mezz_callback_frame, time, 16, 8),
    FIELD(mezz_callback_frame, cookie, 24, 8),
    FIELD(mezz_callback_frame, exit, 32, 72),
    FIELD(mezz_callback_frame, state_mask, 104, 8),
    FIELD(mezz_callback_frame, sync_count, 112, 4),
    FIELD(mezz_callback_frame, sync_more, 116, 4),
    FIELD(mezz_callback_frame, entry_interruption_info, 120, 4),
    FIELD(mezz_callback_frame, entry_exception_error_code, 124, 4),
    FIELD(mezz_callback_frame, reserved, 128, 8),
    FIELD(mezz_callback_frame, regs, 136, 144),
    FIELD(mezz_callback_frame, system, 280, 272),
    FIELD(mezz_callback_frame, events, 552, 16),
    FIELD(mezz_callback_frame, sync, 568, 512),

    FIELD(mezz_callback_counters, evaluated, 0, 8),
    FIELD(mezz_callback_counters, fired, 8, 8),
    FIELD(mezz_callback_counters, failed, 16, 64),
    FIELD(mezz_callback_counters, sync_records, 80, 8),
    FIELD(mezz_callback_counters, refused_returns, 88, 8),

    FIELD(mezz_l2_parameters, name, 0, 32),
    FIELD(mezz_l2_parameters, reserved, 32, 32),

    FIELD(mezz_pvh_start_info, magic, 0, 4),
    FIELD(mezz_pvh_start_info, version, 4, 4),
    FIELD(mezz_pvh_start_info, flags, 8, 4),
    FIELD(mezz_pvh_start_info, nr_modules, 12, 4),
    FIELD(mezz_pvh_start_info, modlist_paddr, 16, 8),
    FIELD(mezz_pvh_start_info, cmdline_paddr, 24, 8),
    FIELD(mezz_pvh_start_info, rsdp_paddr, 32, 8),
    FIELD(mezz_pvh_start_info, memmap_paddr, 40, 8),
    FIELD(mezz_pvh_start_info, memmap_entries, 48, 4),
    FIELD(mezz_pvh_start_info, reserved, 52, 4),

    FIELD(mezz_pvh_module, paddr, 0, 8),
    FIELD(mezz_pvh_module, size, 8, 8),
    FIELD(mezz_pvh_module, cmdline_paddr, 16, 8),
    FIELD(mezz_pvh_module, reserved, 24, 8),

    FIELD(mezz_pvh_memory, addr, 0, 8),
    FIELD(mezz_pvh_memory, size, 8, 8),
    FIELD(mezz_pvh_memory, type, 16, 4),
    FIELD(mezz_pvh_memory, reserved, 20, 4),

    FIELD(mezz_firmware_table, magic, 0, 4),
    FIELD(mezz_firmware_table, version, 4, 4),
    FIELD(mezz_firmware_table, entry, 8, 4),
    FIELD(mezz_firmware_table, start_info, 12, 4),
};

START_TEST(field)
{
    ck_assert_msg(fields[_i].offset == fields[_i].expected_offset &&
                      fields[_i].size == fields[_i].expected_size,
                  "%s.%s: %zu bytes at %zu", fields[_i].structure, fields[_i].field,
                  fields[_i].size, fields[_i].offset);
}
END_TEST

/* Every byte of a structure belongs to a field: a compiler has nothing to pad. */
START_TEST(no_padding)
{
    for (size_t i = 0; i < ELEMENTS(fields); i++) {
        const size_t end = fields[i].offset + fields[i].size;
        const int last =
            i + 1 == ELEMENTS(fields) || strcmp(fields[i + 1].structure, fields[i].structure) != 0;

        ck_assert_msg(end == (last ? fields[i].whole : fields[i + 1].offset),
                      "%s has a hole behind %s", fields[i].structure, fields[i].field);
    }
}
END_TEST

/* The name of a VMCS12 field: its offset, and its width in bits 16 to 19. */
START_TEST(vmcs12_field_names)
{
    ck_assert_uint_eq(MEZZ_VMCS12_FIELD(regs.guest_rip), 0x80120);
    ck_assert_uint_eq(MEZZ_VMCS12_FIELD(exit.reason), 0x40020);
    ck_assert_uint_eq(MEZZ_VMCS12_FIELD(system.segment[MEZZ_CS].selector), 0x20158);
    ck_assert_uint_eq(MEZZ_FIELD_OFFSET(MEZZ_VMCS12_FIELD(controls.tsc_offset)), 760);
    ck_assert_uint_eq(MEZZ_FIELD_WIDTH(MEZZ_VMCS12_FIELD(controls.tsc_offset)), 8);
    ck_assert_uint_eq(MEZZ_FIELD_WIDTH(MEZZ_VMCS12_FIELD(exit.msr)), 4);
}
END_TEST

RUN_CASES("abi layout", 10, EACH(field, ELEMENTS(fields)), ONCE(no_padding),
          ONCE(vmcs12_field_names))
