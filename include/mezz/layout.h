/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEZZ_LAYOUT_H
#define MEZZ_LAYOUT_H

#include "callback.h"
#include "calls.h"
#include "ept.h"
#include "firmware.h"
#include "gate.h"
#include "pvh.h"
#include "vmcs12.h"

/*
 * The layouts of ABI version 1, written down a second time and compared by the compiler: whoever
 * was built with other headers of the same version counts on each of them. A row may be added where
 * a field was reserved; one that changes is another version of the ABI.
 *
 * F(structure, field, offset, size), in the order of the fields.
 */
#define MEZZ_LAYOUT(F)                                         \
    F(mezz_gate_site, rip, 0, 8)                               \
    F(mezz_gate_site, cr3, 8, 8)                               \
    F(mezz_gate_site, from, 16, 4)                             \
    F(mezz_gate_site, to, 20, 4)                               \
    F(mezz_gate_site, reserved, 24, 8)                         \
    F(mezz_segment, base, 0, 8)                                \
    F(mezz_segment, limit, 8, 4)                               \
    F(mezz_segment, access_rights, 12, 4)                      \
    F(mezz_segment, selector, 16, 2)                           \
    F(mezz_segment, reserved, 18, 6)                           \
    F(mezz_descriptor_table, base, 0, 8)                       \
    F(mezz_descriptor_table, limit, 8, 4)                      \
    F(mezz_descriptor_table, reserved, 12, 4)                  \
    F(mezz_vmcs12_regs, gpr, 0, 128)                           \
    F(mezz_vmcs12_regs, guest_rip, 128, 8)                     \
    F(mezz_vmcs12_regs, guest_rflags, 136, 8)                  \
    F(mezz_vmcs12_system, segment, 0, 192)                     \
    F(mezz_vmcs12_system, gdtr, 192, 16)                       \
    F(mezz_vmcs12_system, idtr, 208, 16)                       \
    F(mezz_vmcs12_system, guest_cr0, 224, 8)                   \
    F(mezz_vmcs12_system, guest_cr2, 232, 8)                   \
    F(mezz_vmcs12_system, guest_cr3, 240, 8)                   \
    F(mezz_vmcs12_system, guest_cr4, 248, 8)                   \
    F(mezz_vmcs12_system, guest_efer, 256, 8)                  \
    F(mezz_vmcs12_system, reserved, 264, 8)                    \
    F(mezz_vmcs12_msrs, sysenter_cs, 0, 8)                     \
    F(mezz_vmcs12_msrs, sysenter_esp, 8, 8)                    \
    F(mezz_vmcs12_msrs, sysenter_eip, 16, 8)                   \
    F(mezz_vmcs12_msrs, pat, 24, 8)                            \
    F(mezz_vmcs12_msrs, star, 32, 8)                           \
    F(mezz_vmcs12_msrs, lstar, 40, 8)                          \
    F(mezz_vmcs12_msrs, cstar, 48, 8)                          \
    F(mezz_vmcs12_msrs, sfmask, 56, 8)                         \
    F(mezz_vmcs12_msrs, kernel_gs_base, 64, 8)                 \
    F(mezz_vmcs12_msrs, tsc_aux, 72, 8)                        \
    F(mezz_vmcs12_msrs, reserved, 80, 16)                      \
    F(mezz_vmcs12_debug, dr, 0, 32)                            \
    F(mezz_vmcs12_debug, dr6, 32, 8)                           \
    F(mezz_vmcs12_debug, dr7, 40, 8)                           \
    F(mezz_vmcs12_events, interruptibility_state, 0, 4)        \
    F(mezz_vmcs12_events, activity_state, 4, 4)                \
    F(mezz_vmcs12_events, entry_interruption_info, 8, 4)       \
    F(mezz_vmcs12_events, entry_exception_error_code, 12, 4)   \
    F(mezz_vmcs12_controls, pin_based, 0, 4)                   \
    F(mezz_vmcs12_controls, cpu_based, 4, 4)                   \
    F(mezz_vmcs12_controls, cpu_based_secondary, 8, 4)         \
    F(mezz_vmcs12_controls, preemption_timer, 12, 4)           \
    F(mezz_vmcs12_controls, io_bitmap_a, 16, 8)                \
    F(mezz_vmcs12_controls, io_bitmap_b, 24, 8)                \
    F(mezz_vmcs12_controls, msr_bitmap, 32, 8)                 \
    F(mezz_vmcs12_controls, tsc_offset, 40, 8)                 \
    F(mezz_vmcs12_controls, exit_controls, 48, 4)              \
    F(mezz_vmcs12_controls, reserved, 52, 4)                   \
    F(mezz_vmcs12_controls, reserved2, 56, 8)                  \
    F(mezz_vmcs12_ept, eptp, 0, 8)                             \
    F(mezz_vmcs12_ept, eptp_index, 8, 4)                       \
    F(mezz_vmcs12_ept, reserved, 12, 4)                        \
    F(mezz_vmcs12_exit, reason, 0, 4)                          \
    F(mezz_vmcs12_exit, flags, 4, 4)                           \
    F(mezz_vmcs12_exit, qualification, 8, 8)                   \
    F(mezz_vmcs12_exit, guest_physical_address, 16, 8)         \
    F(mezz_vmcs12_exit, value, 24, 8)                          \
    F(mezz_vmcs12_exit, size, 32, 4)                           \
    F(mezz_vmcs12_exit, msr, 36, 4)                            \
    F(mezz_vmcs12_exit, interruption_info, 40, 4)              \
    F(mezz_vmcs12_exit, interruption_error_code, 44, 4)        \
    F(mezz_vmcs12_exit, idt_vectoring_info, 48, 4)             \
    F(mezz_vmcs12_exit, idt_vectoring_error_code, 52, 4)       \
    F(mezz_vmcs12_exit, instruction_length, 56, 4)             \
    F(mezz_vmcs12_exit, vm_instruction_error, 60, 4)           \
    F(mezz_vmcs12_exit, count, 64, 8)                          \
    F(mezz_vmcs12_completion, value, 0, 8)                     \
    F(mezz_vmcs12_completion, flags, 8, 4)                     \
    F(mezz_vmcs12_completion, reserved, 12, 4)                 \
    F(mezz_sync_record, object, 0, 4)                          \
    F(mezz_sync_record, reserved, 4, 4)                        \
    F(mezz_sync_record, key, 8, 8)                             \
    F(mezz_sync_record, from, 16, 8)                           \
    F(mezz_sync_record, to, 24, 8)                             \
    F(mezz_sync_area, count, 0, 4)                             \
    F(mezz_sync_area, more, 4, 4)                              \
    F(mezz_sync_area, reserved, 8, 8)                          \
    F(mezz_sync_area, record, 16, 512)                         \
    F(mezz_vmcs12, revision, 0, 4)                             \
    F(mezz_vmcs12, abort, 4, 4)                                \
    F(mezz_vmcs12, clean, 8, 8)                                \
    F(mezz_vmcs12, changed, 16, 8)                             \
    F(mezz_vmcs12, reserved, 24, 8)                            \
    F(mezz_vmcs12, exit, 32, 72)                               \
    F(mezz_vmcs12, completion, 104, 16)                        \
    F(mezz_vmcs12, events, 120, 16)                            \
    F(mezz_vmcs12, ept, 136, 16)                               \
    F(mezz_vmcs12, reserved2, 152, 8)                          \
    F(mezz_vmcs12, regs, 160, 144)                             \
    F(mezz_vmcs12, system, 304, 272)                           \
    F(mezz_vmcs12, msrs, 576, 96)                              \
    F(mezz_vmcs12, debug, 672, 48)                             \
    F(mezz_vmcs12, controls, 720, 64)                          \
    F(mezz_vmcs12, reserved3, 784, 240)                        \
    F(mezz_vmcs12, sync, 1024, 528)                            \
    F(mezz_vmcs12, reserved4, 1552, 2544)                      \
    F(mezz_condition, field, 0, 2)                             \
    F(mezz_condition, op, 2, 2)                                \
    F(mezz_condition, reserved, 4, 4)                          \
    F(mezz_condition, a, 8, 8)                                 \
    F(mezz_condition, b, 16, 8)                                \
    F(mezz_callback_registration, l2, 0, 4)                    \
    F(mezz_callback_registration, reason, 4, 4)                \
    F(mezz_callback_registration, mode, 8, 4)                  \
    F(mezz_callback_registration, order, 12, 4)                \
    F(mezz_callback_registration, handler, 16, 8)              \
    F(mezz_callback_registration, stack, 24, 8)                \
    F(mezz_callback_registration, frame, 32, 8)                \
    F(mezz_callback_registration, state_mask, 40, 8)           \
    F(mezz_callback_registration, cookie, 48, 8)               \
    F(mezz_callback_registration, condition_count, 56, 4)      \
    F(mezz_callback_registration, replace, 60, 4)              \
    F(mezz_callback_registration, condition, 64, 192)          \
    F(mezz_callback_frame, callback, 0, 4)                     \
    F(mezz_callback_frame, l2, 4, 4)                           \
    F(mezz_callback_frame, vcpu, 8, 4)                         \
    F(mezz_callback_frame, view, 12, 4)                        \
    F(mezz_callback_frame, time, 16, 8)                        \
    F(mezz_callback_frame, cookie, 24, 8)                      \
    F(mezz_callback_frame, exit, 32, 72)                       \
    F(mezz_callback_frame, state_mask, 104, 8)                 \
    F(mezz_callback_frame, sync_count, 112, 4)                 \
    F(mezz_callback_frame, sync_more, 116, 4)                  \
    F(mezz_callback_frame, entry_interruption_info, 120, 4)    \
    F(mezz_callback_frame, entry_exception_error_code, 124, 4) \
    F(mezz_callback_frame, reserved, 128, 8)                   \
    F(mezz_callback_frame, regs, 136, 144)                     \
    F(mezz_callback_frame, system, 280, 272)                   \
    F(mezz_callback_frame, events, 552, 16)                    \
    F(mezz_callback_frame, sync, 568, 512)                     \
    F(mezz_callback_counters, evaluated, 0, 8)                 \
    F(mezz_callback_counters, fired, 8, 8)                     \
    F(mezz_callback_counters, failed, 16, 64)                  \
    F(mezz_callback_counters, sync_records, 80, 8)             \
    F(mezz_callback_counters, refused_returns, 88, 8)          \
    F(mezz_l2_parameters, name, 0, 32)                         \
    F(mezz_l2_parameters, reserved, 32, 32)                    \
    F(mezz_pvh_start_info, magic, 0, 4)                        \
    F(mezz_pvh_start_info, version, 4, 4)                      \
    F(mezz_pvh_start_info, flags, 8, 4)                        \
    F(mezz_pvh_start_info, nr_modules, 12, 4)                  \
    F(mezz_pvh_start_info, modlist_paddr, 16, 8)               \
    F(mezz_pvh_start_info, cmdline_paddr, 24, 8)               \
    F(mezz_pvh_start_info, rsdp_paddr, 32, 8)                  \
    F(mezz_pvh_start_info, memmap_paddr, 40, 8)                \
    F(mezz_pvh_start_info, memmap_entries, 48, 4)              \
    F(mezz_pvh_start_info, reserved, 52, 4)                    \
    F(mezz_pvh_module, paddr, 0, 8)                            \
    F(mezz_pvh_module, size, 8, 8)                             \
    F(mezz_pvh_module, cmdline_paddr, 16, 8)                   \
    F(mezz_pvh_module, reserved, 24, 8)                        \
    F(mezz_pvh_memory, addr, 0, 8)                             \
    F(mezz_pvh_memory, size, 8, 8)                             \
    F(mezz_pvh_memory, type, 16, 4)                            \
    F(mezz_pvh_memory, reserved, 20, 4)                        \
    F(mezz_firmware_table, magic, 0, 4)                        \
    F(mezz_firmware_table, version, 4, 4)                      \
    F(mezz_firmware_table, entry, 8, 4)                        \
    F(mezz_firmware_table, start_info, 12, 4)

#define MEZZ_LAYOUT_HOLDS(in, name, at, length)                                          \
    _Static_assert(offsetof(struct in, name) == (at), "struct " #in "." #name " moved"); \
    _Static_assert(sizeof(((struct in *)0)->name) == (length),                           \
                   "struct " #in "." #name " changed its size");
MEZZ_LAYOUT(MEZZ_LAYOUT_HOLDS)

#endif
