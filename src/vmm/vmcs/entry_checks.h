/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_ENTRY_CHECKS_H
#define VMM_ENTRY_CHECKS_H

#include <stdint.h>

#include "host/memory.h"
#include "mezz/exit.h"
#include "mezz/vmcs12.h"

/*
 * The checks of a VM entry (SDM 27.2 and 27.3) on a private copy of the VMCS12, made by the root
 * before KVM sees the state. Each returns the check that failed, or MEZZ_CHECK_NONE.
 */
enum mezz_entry_check entry_check_regs(const struct mezz_vmcs12_regs *regs,
                                       const struct mezz_vmcs12_system *system);
enum mezz_entry_check entry_check_system(const struct mezz_vmcs12_system *system,
                                         const struct mezz_vmcs12_regs *regs);
enum mezz_entry_check entry_check_events(const struct mezz_vmcs12_events *events,
                                         const struct mezz_vmcs12_regs *regs,
                                         const struct mezz_vmcs12_system *system);
enum mezz_entry_check entry_check_controls(const struct mezz_vmcs12_controls *controls,
                                           const struct l1_memory *l1);
enum mezz_entry_check entry_check_msrs(const struct mezz_vmcs12_msrs *msrs);
enum mezz_entry_check entry_check_debug(const struct mezz_vmcs12_debug *debug);

/* An event to inject, also that of a callback's action. */
enum mezz_entry_check entry_check_event(uint32_t info, uint32_t error_code, uint64_t rflags,
                                        uint32_t interruptibility, uint64_t cr0);

/* A name for people, for example "rflags". */
const char *entry_check_name(uint64_t check);

#endif
