/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/exits/exit_rules.h"

#include "host/hot.h"
#include "vmm/devices/ports.h"
#include "vmm/exits/ept_violation.h"
#include "vmm/exits/msrs.h"
#include "vmm/l2_policy.h"
#include "vmm/l2_run.h"
#include "vmm/machine_state.h"

static bool bitmap_has(const uint8_t *bitmap, uint32_t bit)
{
    return bitmap[bit / 8] >> (bit % 8) & 1;
}

/* SDM 26.1.3: with bitmaps, an access exits if a bit of any of its ports is set; one that runs past
 * the last port exits. */
static bool l1_intercepts_port(const struct l2_vcpu *vcpu, uint32_t port, uint32_t size)
{
    uint32_t controls = vcpu->controls.cpu_based;

    if (!(controls & MEZZ_CPU_USE_IO_BITMAPS))
        return controls & MEZZ_CPU_UNCONDITIONAL_IO_EXITING;
    if (size == 1)
        return bitmap_has(vcpu->io_bitmap, port);
    if (port + size > 0x10000)
        return true;
    for (uint32_t i = 0; i < size; i++)
        if (bitmap_has(vcpu->io_bitmap, port + i))
            return true;
    return false;
}

HOT static enum root_verdict rule_io(struct l2_vcpu *vcpu)
{
    struct l2_exit *exit = &vcpu->exit;
    struct machine *machine = vcpu->l2->machine;
    uint16_t port = (uint16_t)(exit->qualification >> MEZZ_IO_PORT_SHIFT);

    if (l1_intercepts_port(vcpu, port, exit->size))
        return ROOT_LEFT;
    exit->done = true;
    if (exit->qualification & MEZZ_IO_IN)
        l2_exit_answer(exit, ports_read(machine, port, exit->size), false);
    else
        ports_write(machine, port, exit->size, exit->value);
    return ROOT_HANDLED;
}

/* The root's own wish for a window comes before L1's. */
static enum root_verdict rule_window(struct l2_vcpu *vcpu)
{
    if (!l2_holds_interrupts(vcpu))
        return ROOT_LEFT;
    l2_release_interrupts(vcpu);
    return ROOT_HANDLED;
}

static enum root_verdict rule_hlt(struct l2_vcpu *vcpu)
{
    if (vcpu->controls.cpu_based & MEZZ_CPU_HLT_EXITING)
        return ROOT_LEFT;
    vcpu->halted = true;
    vcpu->exit.done = true;
    return ROOT_HANDLED;
}

/* A policy may know why, and makes it an exit of its own. */
static enum root_verdict rule_triple_fault(struct l2_vcpu *vcpu)
{
    l2_policies_end(vcpu);
    return ROOT_LEFT;
}

exit_rule *const exit_rules[REASON_INDEX_COUNT] = {
    [MEZZ_EXIT_IO] = rule_io,
    [MEZZ_EXIT_EPT_VIOLATION] = ept_violation_rule,
    [MEZZ_EXIT_SDM_COUNT + MEZZ_EXIT_EMULATION_FAILURE - MEZZ_EXIT_OWN_FIRST] =
        emulation_failure_rule,
    [MEZZ_EXIT_TRIPLE_FAULT] = rule_triple_fault,
    [MEZZ_EXIT_INTERRUPT_WINDOW] = rule_window,
    [MEZZ_EXIT_HLT] = rule_hlt,
    [MEZZ_EXIT_RDMSR] = msrs_rule,
    [MEZZ_EXIT_WRMSR] = msrs_rule,
};
