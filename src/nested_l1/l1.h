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

struct host;
struct svm_guest;

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
    uint32_t cpu;               /* whose it is: nobody else touches it */
    struct mezz_vmcs12 *vmcs;   /* what L1 reads and writes; a copy of its own in classic */
    struct mezz_vmcs12 *shared; /* the page that the root knows */
    struct ept ept;
    uint64_t memory;  /* bytes */
    uint64_t backing; /* L1-physical; a page that is not mapped in place is at backing + address */
    uint64_t mapped;  /* how far EPT12 is filled while the guest is loaded */
    uint32_t stray_accesses;
    uint32_t observed;     /* exits that the root handled and told of */
    uint32_t synchronized; /* records of what the root changed */
    bool has_views;        /* two, in turn */
    uint32_t turns;        /* from one of them to the other */
    struct svm_guest *svm; /* svm/svm.h; with a root NULL */
    struct uart uart;
    struct pic pic;
    struct pit pit;
};

/* A processor of L1: it alone runs its guests, until it gives one away. */
struct cpu {
    struct l1 *l1;
    uint32_t index;
    uint32_t living;   /* guests; under the lock */
    uint32_t asked_by; /* 1 + the index of a processor that has none; under the lock */
    uint32_t ended;    /* guests that do not count as living any more as soon as it says so */
    uint32_t entries;  /* of guests */
    uint32_t current;  /* index of the guest whose turn it is */
    uint32_t ready;    /* guests in this state */
    uint64_t now;      /* of the last call of MEZZ_CALL_TIME */
    uint64_t slice_end;
    uint64_t next_tick; /* of all guests that wait for one */
};

typedef void cpu_main(struct cpu *cpu); /* does not return */

#define L1_CPUS 2U

struct l1 {
    const struct host *host;
    struct config config;
    struct arena arena;
    uint32_t lock;
    uint32_t cpu_count;
    cpu_main *run;
    struct cpu cpu[L1_CPUS];
    unsigned int l2_count;
    uint32_t features; /* MEZZ_FEATURE_... of the root */
    bool failed;       /* a guest ended badly or could not be started */
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

/* schedule.c: runs the processor's guests until those of all processors have ended. */
void schedule(struct cpu *cpu);

/* cpus.c. Divides the guests among the processors, and starts those that are not the caller. */
void cpus_start(struct l1 *l1, cpu_main *run);
/* Some of the processor's guests have ended, and it has said all about them. */
void cpus_count(struct cpu *cpu);
/* Another processor asked for a guest: gives one, if there are enough. */
void cpus_share(struct cpu *cpu);
/* The processor has no guest: asks for one and waits. False: there is none left anywhere. */
bool cpus_rest(struct cpu *cpu);

static inline void l1_fail(struct l1 *l1)
{
    __atomic_store_n(&l1->failed, true, __ATOMIC_RELAXED);
}

static inline void l2_wrote(struct l2 *l2, enum mezz_vmcs12_group group)
{
    l2->vmcs->clean &= ~MEZZ_GROUP_BIT(group);
}

#endif
