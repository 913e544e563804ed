/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/l2_gate.h"

#include <stdlib.h>
#include <string.h>

#include "host/sort.h"
#include "mezz/errors.h"
#include "vmm/l2_view.h"
#include "vmm/machine_state.h"
#include "vmm/vmcs/sync.h"

#define CR3_ADDRESS 0x000ffffffffff000ULL

/* No vCPU is where an earlier list had its view. */
static void find_indices(struct l2 *l2)
{
    for (unsigned int i = 0; i < MEZZ_MAX_L2_VCPUS; i++) {
        struct l2_vcpu *vcpu = l2->machine->vcpu[i];
        uint32_t before;

        if (vcpu == NULL || vcpu->l2 != l2 || vcpu->place.view == NULL)
            continue;
        before = vcpu->ept.eptp_index;
        vcpu->ept.eptp_index = space_list_find(l2->space, vcpu->ept.eptp, before);
        sync_note_field(vcpu, MEZZ_VMCS12_FIELD(ept.eptp_index), before, vcpu->ept.eptp_index);
    }
}

int l2_set_eptp_list(struct l2 *l2, l1_address list, uint64_t count, uint64_t *bad)
{
    const struct l1_memory *l1 = &l2->machine->l1_memory;
    uint64_t eptp[MEZZ_MAX_VIEWS];
    uint32_t index = 0;
    int error;

    if (count == 0 || count > MEZZ_MAX_VIEWS)
        return MEZZ_E_ARGUMENT;
    if (list.value % PAGE_SIZE != 0)
        return MEZZ_E_ALIGNMENT;
    if (l1_read(l1, list, eptp, count * sizeof(eptp[0])) != 0)
        return MEZZ_E_ADDRESS;
    error = l2_view_need_engine(l2);
    if (error != 0)
        return error;
    error = space_set_list(l2->space, eptp, (uint32_t)count, &index, NULL);
    *bad = index;
    if (error == 0)
        find_indices(l2);
    return error < 0 ? MEZZ_E_HOST : error;
}

static int check_site(const struct mezz_gate_site *site)
{
    if ((site->from >= MEZZ_MAX_VIEWS && site->from != MEZZ_GATE_ANY_VIEW) ||
        (site->to >= MEZZ_MAX_VIEWS && site->to != MEZZ_GATE_ANY_VIEW) || site->reserved != 0 ||
        site->cr3 & ~CR3_ADDRESS)
        return MEZZ_E_ARGUMENT;
    return 0;
}

int l2_set_gate_sites(struct l2 *l2, l1_address list, uint64_t count)
{
    const size_t size = count * sizeof(struct mezz_gate_site);
    struct mezz_gate_site *sites = NULL;
    int error = 0;

    if (count > MEZZ_MAX_GATE_SITES)
        return MEZZ_E_ARGUMENT;
    if (count > 0) {
        sites = malloc(size);
        if (sites == NULL)
            return MEZZ_E_HOST;
        if (l1_read(&l2->machine->l1_memory, list, sites, size) != 0)
            error = MEZZ_E_ADDRESS;
    }
    for (uint64_t i = 0; i < count && error == 0; i++)
        error = check_site(&sites[i]);
    if (error != 0) {
        free(sites);
        return error;
    }
    sort_by_key(sites, count, sizeof(*sites));
    free(l2->gate_sites);
    l2->gate_sites = sites;
    l2->gate_site_count = (uint32_t)count;
    return 0;
}

/* The first site at this address, or where it would be. */
static uint32_t lower_bound(const struct l2 *l2, uint64_t rip)
{
    uint32_t low = 0;
    uint32_t high = l2->gate_site_count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (l2->gate_sites[middle].rip < rip)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool l2_gate_site_allowed(const struct l2 *l2, uint64_t rip, uint64_t cr3, uint32_t from,
                          uint32_t to)
{
    if (l2->gate_site_count == 0)
        return true;
    for (uint32_t i = lower_bound(l2, rip); i < l2->gate_site_count; i++) {
        const struct mezz_gate_site *site = &l2->gate_sites[i];

        if (site->rip != rip)
            break;
        if ((site->cr3 == 0 || site->cr3 == (cr3 & CR3_ADDRESS)) &&
            (site->from == MEZZ_GATE_ANY_VIEW || site->from == from) &&
            (site->to == MEZZ_GATE_ANY_VIEW || site->to == to))
            return true;
    }
    return false;
}

int l2_switch_view(struct l2_vcpu *vcpu, uint64_t index, enum view_carry carry)
{
    const struct mezz_vmcs12_ept before = vcpu->ept;
    int error;

    if (index >= MEZZ_MAX_VIEWS)
        return MEZZ_E_VIEW;
    error = l2_view_switch(vcpu, (uint32_t)index, carry);
    if (error != 0)
        return error;
    vcpu->ept.eptp = space_view_eptp(vcpu->place.view);
    vcpu->ept.eptp_index = (uint32_t)index;
    sync_note_field(vcpu, MEZZ_VMCS12_FIELD(ept.eptp), before.eptp, vcpu->ept.eptp);
    sync_note_field(vcpu, MEZZ_VMCS12_FIELD(ept.eptp_index), before.eptp_index,
                    vcpu->ept.eptp_index);
    return 0;
}
