/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_ENTRY_STATE_H
#define TESTS_FUZZ_ENTRY_STATE_H

#include <stddef.h>

#include "mezz/vmcs12.h"

/* A state that the checks of a VM entry let pass: 64-bit, ring 0. */
static inline void entry_state(struct mezz_vmcs12_regs *regs, struct mezz_vmcs12_system *system,
                               struct mezz_vmcs12_msrs *msrs, struct mezz_vmcs12_debug *debug)
{
    static const struct mezz_segment data = {
        .limit = 0xffffffffU, .access_rights = 0xc093, .selector = 0x18};

    regs->guest_rflags = 2;
    for (size_t i = 0; i < MEZZ_SEGMENT_COUNT; i++)
        system->segment[i] = data;
    system->segment[MEZZ_CS] =
        (struct mezz_segment){.limit = 0xffffffffU, .access_rights = 0xa09b, .selector = 0x10};
    system->segment[MEZZ_LDTR] = (struct mezz_segment){.access_rights = MEZZ_SEGMENT_UNUSABLE};
    system->segment[MEZZ_TR] =
        (struct mezz_segment){.limit = 0x67, .access_rights = 0x8b, .selector = 0x30};
    system->guest_cr0 = 0x80010011;
    system->guest_cr4 = 0x20;
    system->guest_efer = 0x500;
    msrs->pat = 0x0007040600070406ULL;
    *debug = (struct mezz_vmcs12_debug){.dr6 = 0xffff0ff0ULL, .dr7 = 0x400};
}

#endif
