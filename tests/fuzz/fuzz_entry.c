/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of a VM entry: the input is laid over a state that passes. Whatever passes then has
 * what the checks are there for, written down here a second time. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "entry_state.h"
#include "vmm/vmcs/entry_checks.h"
#include "vmm/vmcs/x86.h"

#define L1_SIZE (1ULL << 20)
#define LME     (1ULL << 8)
#define LMA     (1ULL << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct state {
    struct mezz_vmcs12_regs regs;
    struct mezz_vmcs12_system system;
    struct mezz_vmcs12_events events;
    struct mezz_vmcs12_controls controls;
    struct mezz_vmcs12_msrs msrs;
    struct mezz_vmcs12_debug debug;
};

static bool canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static void check_system(const struct state *state)
{
    const struct mezz_vmcs12_system *system = &state->system;
    uint64_t cr0 = system->guest_cr0;

    if ((cr0 >> 31 & 1) && !(cr0 & 1))
        abort(); /* paging without protection */
    if (!(system->guest_efer & LMA) != !((system->guest_efer & LME) && cr0 >> 31 & 1))
        abort();
    if ((system->guest_efer & LMA) && !(system->guest_cr4 & 0x20))
        abort(); /* long mode without PAE */
    if (cr0 >> 32 != 0 || (cr0 >> 29 & 3) == 1)
        abort(); /* NW without CD */
}

static void check_regs(const struct state *state)
{
    if (!(state->regs.guest_rflags & RFLAGS_FIXED) || state->regs.guest_rflags >> 22 != 0)
        abort();
    if (!(state->system.guest_efer & LMA) && state->regs.guest_rip >> 32 != 0)
        abort();
    if (!canonical(state->regs.guest_rip))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory memory = {.fd = -1, .size = L1_SIZE};
    struct l1_memory l1 = {.memory = &memory, .size = L1_SIZE};
    struct state state;
    uint64_t result[6];

    memset(&state, 0, sizeof(state));
    entry_state(&state.regs, &state.system, &state.msrs, &state.debug);
    /* Three bytes each: where, and what is to be another bit there. */
    for (; size >= 3; size -= 3, data += 3)
        ((uint8_t *)&state)[(size_t)(data[0] | data[1] << 8) % sizeof(state)] ^= data[2];
    result[0] = entry_check_system(&state.system, &state.regs);
    result[1] = entry_check_regs(&state.regs, &state.system);
    result[2] = entry_check_events(&state.events, &state.regs, &state.system);
    result[3] = entry_check_controls(&state.controls, &l1);
    result[4] = entry_check_msrs(&state.msrs);
    result[5] = entry_check_debug(&state.debug);
    for (int i = 0; i < 6; i++)
        if (entry_check_name(result[i]) == NULL)
            abort();
    if (result[0] == MEZZ_CHECK_NONE)
        check_system(&state);
    if (result[0] == MEZZ_CHECK_NONE && result[1] == MEZZ_CHECK_NONE)
        check_regs(&state);
    return 0;
}
