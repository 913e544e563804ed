/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PAGING_TABLES_H
#define VMM_PAGING_TABLES_H

#include "host/hot.h"
#include "vmm/l2.h"

/*
 * L2's own page tables on memory that waits for a first write (mezz/ept.h). A processor that walks
 * them by itself takes each access to a table for a write (SDM 29.3.5), so a table is opened as
 * soon as L2 uses it. KVM would otherwise emulate, or try for ever, each instruction that needs a
 * walk; and of a store whose address and whose table entry's have the same offset in their pages,
 * it tells the address of the entry.
 */

/* After each run of an L2 vCPU: opens the tables that its CR3 leads to, once for each CR3, and puts
 * right the address of a store that KVM told wrongly. exited: vcpu->exit is this run's. True: a
 * table was opened. */
COLD bool paging_open_new_tables(struct l2_vcpu *vcpu, bool exited);

static inline bool paging_open_tables(struct l2_vcpu *vcpu, bool exited)
{
    if (vcpu->l2->frames == NULL && !(vcpu->place.eptp & MEZZ_EPTP_DIRTY_FLAGS))
        return false;
    return paging_open_new_tables(vcpu, exited);
}

#endif
