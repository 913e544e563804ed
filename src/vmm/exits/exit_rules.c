/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/exits/exit_rules.h"

#include <errno.h>

#include "vmm/devices/ports.h"
#include "vmm/exits/msrs.h"
#include "vmm/exits/paging_events.h"
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
    if (port + size > 0x10000)
        return true;
    for (uint32_t i = 0; i < size; i++)
        if (bitmap_has(vcpu->io_bitmap, port + i))
            return true;
    return false;
}

static enum root_verdict rule_io(struct l2_vcpu *vcpu)
{
    const struct l2_exit *exit = &vcpu->exit;
    uint16_t port = (uint16_t)(exit->qualification >> MEZZ_IO_PORT_SHIFT);
    uint64_t value = exit->value;

    if (l1_intercepts_port(vcpu, port, exit->size))
        return ROOT_LEFT;
    ports_access(vcpu->l2->machine, port, exit->size, exit->qualification & MEZZ_IO_IN, &value);
    l2_complete(vcpu, value, false);
    return ROOT_HANDLED;
}

/* While another vCPU runs in the view it waits until the next entry. */
static bool read_again(struct space_view *view)
{
    int code = space_view_rebuild(view, NULL);

    if (code == -EBUSY)
        space_view_set_stale(view);
    return code == 0 || code == -EBUSY;
}

/* EPT12 allows what the slots do not: the entry became present since the view was built, or KVM has
 * no slot for such rights. */
static enum root_verdict rule_ept_violation(struct l2_vcpu *vcpu)
{
    struct space_view *view = vcpu->place.view;
    const struct l2_exit *exit = &vcpu->exit;
    struct ept12_translation now;
    uint32_t needed = MEZZ_EPT_READ;

    if (exit->qualification & MEZZ_EPT_VIOLATION_WRITE)
        needed = MEZZ_EPT_WRITE;
    else if (exit->qualification & MEZZ_EPT_VIOLATION_FETCH)
        needed = MEZZ_EPT_EXECUTE;
    if (space_view_lookup(view, l2_at(exit->gpa), &now) != 0)
        return ROOT_LEFT;
    if (needed == MEZZ_EPT_WRITE && now.rights != 0 && !(now.rights & needed) &&
        paging_open_for_write(vcpu, &now) && space_view_lookup(view, l2_at(exit->gpa), &now) != 0)
        return ROOT_LEFT;
    if (!(now.rights & needed))
        return ROOT_LEFT;
    /* A data access may run into the next page, which EPT12 may refuse. */
    if (exit->size != 0) {
        uint64_t data = exit->value;

        if (space_view_access(view, l2_at(exit->gpa), needed == MEZZ_EPT_WRITE, &data,
                              exit->size) != 0)
            return ROOT_LEFT;
        vcpu->exit.done = true;
        l2_exit_answer(exit, data, false);
    }
    return space_view_has(view, l2_at(exit->gpa), now.rights) || read_again(view) ? ROOT_HANDLED
                                                                                  : ROOT_LEFT;
}

static enum root_verdict rule_hlt(struct l2_vcpu *vcpu)
{
    if (vcpu->controls.cpu_based & MEZZ_CPU_HLT_EXITING)
        return ROOT_LEFT;
    vcpu->halted = true;
    vcpu->exit.done = true;
    return ROOT_HANDLED;
}

static enum root_verdict (*const rules[REASON_INDEX_COUNT])(struct l2_vcpu *vcpu) = {
    [MEZZ_EXIT_IO] = rule_io,      [MEZZ_EXIT_EPT_VIOLATION] = rule_ept_violation,
    [MEZZ_EXIT_HLT] = rule_hlt,    [MEZZ_EXIT_RDMSR] = msrs_rule,
    [MEZZ_EXIT_WRMSR] = msrs_rule,
};

enum root_verdict exit_rule_apply(struct l2_vcpu *vcpu)
{
    int index = reason_index(vcpu->exit.reason);

    if (index < 0 || rules[index] == NULL)
        return ROOT_LEFT;
    return rules[index](vcpu);
}
