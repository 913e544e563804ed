/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_L1_H
#define L1_L1_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "devices/pic.h"
#include "devices/pit.h"
#include "devices/uart.h"
#include "lib/arena.h"
#include "lib/ept.h"
#include "mezz/vmcs12.h"

enum l2_state {
    L2_READY,
    L2_HALTED, /* waits for an interrupt */
    L2_ENDED
};

/* A guest with its one vCPU. */
struct l2 {
    const char *name;
    enum l2_state state;
    uint32_t number; /* of the root's calls */
    uint32_t vcpu;
    struct mezz_vmcs12 *vmcs;   /* what L1 reads and writes; a copy of its own in classic */
    struct mezz_vmcs12 *shared; /* the page that the root knows */
    struct ept ept;
    uint64_t memory;  /* bytes */
    uint64_t backing; /* L1-physical; a page that is not mapped in place is at backing + address */
    uint64_t mapped;  /* how far EPT12 is filled while the guest is loaded */
    uint32_t stray_accesses;
    uint32_t observed;     /* exits that the root handled and told of */
    uint32_t synchronized; /* records of what the root changed */
    struct uart uart;
    struct pic pic;
    struct pit pit;
};

struct l1 {
    struct config config;
    struct arena arena;
    uint64_t now; /* of the last call of MEZZ_CALL_TIME */
    unsigned int l2_count;
    bool failed; /* a guest ended badly or could not be started */
    struct l2 l2[CONFIG_GUESTS];
};

/* guest.c. Creates the guest; false: it said why, and the guest does not exist. */
bool guest_create(struct l1 *l1, const struct guest_config *config);

/* load.c. Fills the guest's memory and EPT12. NULL, or what is wrong. start_info and entry are
 * what its vCPU starts with. */
const char *guest_load(struct l1 *l1, struct l2 *l2, const struct guest_config *config,
                       uint64_t *start_info, uint64_t *entry);

/* exits.c: ends it with a status that MEZZ_CALL_L2_DESTROY takes. */
void guest_end(struct l1 *l1, struct l2 *l2, uint32_t status);

/* exits.c: applies the root's records to the guest's VMCS12 and EPT12. */
void guest_synchronize(struct l2 *l2, const struct mezz_sync_record *record, uint32_t count);

/* schedule.c: runs the guests until all have ended. */
void schedule(struct l1 *l1);

static inline void l2_wrote(struct l2 *l2, enum mezz_vmcs12_group group)
{
    l2->vmcs->clean &= ~MEZZ_GROUP_BIT(group);
}

#endif
