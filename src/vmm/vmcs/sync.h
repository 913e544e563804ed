/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_SYNC_H
#define VMM_SYNC_H

#include <stdint.h>

#include "mezz/vmcs12.h"

struct l2_vcpu;

/* Synchronization records (mezz/vmcs12.h): what the root altered and L1 has not been told. */

/* Records of VMCS fields that wait for a delivery: one for each field that the root alters. */
#define SYNC_FIELDS 15

struct sync_fields {
    struct mezz_sync_record record[SYNC_FIELDS];
    unsigned int count;
};

/* What L1 knows of the fields that change at each exit: by the last VMCS12 that was stored or
 * loaded, or by a record. */
struct sync_known {
    uint64_t guest_rip;
    uint32_t interruptibility_state;
    uint32_t activity_state;
};

/* The root altered a VMCS field. Two alterations before a delivery become one. */
void sync_note_field(struct l2_vcpu *vcpu, uint64_t field, uint64_t from, uint64_t to);

/* The root has handled an exit, whose instruction is over: notes what L1 does not know of this. */
void sync_note_progress(struct l2_vcpu *vcpu);

/* Moves records to L1's memory, each once. Returns how many; *more: how many still wait. */
uint32_t sync_deliver(struct l2_vcpu *vcpu, struct mezz_sync_record *to, uint32_t *more);

#endif
