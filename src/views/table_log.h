/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_TABLE_LOG_H
#define VIEWS_TABLE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "host/kvm.h"
#include "views/host_traits.h"
#include "views/slot_set.h"

/*
 * Coherence of guests' page tables where KVM shadows them. KVM write-protects the tables that it
 * has a shadow of, but only in the VM of the shadow: a table written in another VM, or by the root,
 * stays as it was. So all that may have been written goes into a log of pages, and before a VM runs
 * it is made to know the pages that came in since it ran last.
 *
 * What vCPUs write is found in their dirty rings. Where KVM emulates ring 0, each write of ring 0
 * is in the ring; ring 3, which does not write page tables, runs natively and leaves a page there
 * once. Elsewhere the ring is reset each time it was read, so that the next write to a page is in
 * it again.
 *
 * A VM gets to know a page by a write of its own: one that is not aligned, within KVM, drops all
 * shadows of the page. A small vCPU that is in ring 0 without paging does it, with an OR of 0 to a
 * byte. That costs about one exit and not, as a slot that comes and goes, all translations and
 * three grace periods of the host's kernel.
 */

#define TABLE_LOG_SIZE 1024U /* a power of two */
#define RECENT_PAGES   256U

struct table_log {
    uint64_t head; /* entries so far; the last TABLE_LOG_SIZE are kept */
    uint64_t read; /* the highest head that a VM has seen */
    struct {
        uint64_t page;
        const void *writer; /* a VM, which knows; NULL: the root */
    } entry[TABLE_LOG_SIZE];
    uint64_t recent[RECENT_PAGES]; /* 1 + number of the last entry of a page with this hash */
};

void table_log_add(struct table_log *log, uint64_t page, const void *writer);

struct dirty_ring {
    struct kvm_dirty_gfn *entry; /* NULL: there is none */
    uint32_t size;
    uint32_t read;
    uint32_t reset;
    bool lost; /* where KVM writes next: see dirty_ring_full() */
};

/* The vCPU's ring, if its VM was made with rings. 0 or a negative errno. */
int dirty_ring_map(struct dirty_ring *ring, const struct kvm_vcpu *vcpu, uint32_t entries);
void dirty_ring_unmap(struct dirty_ring *ring);

static inline bool dirty_ring_has(const struct dirty_ring *ring)
{
    return ring->entry != NULL &&
           (ring->lost ||
            __atomic_load_n(&ring->entry[ring->read % ring->size].flags, __ATOMIC_ACQUIRE) &
                KVM_DIRTY_GFN_F_DIRTY);
}

/* Moves what is in the ring to the log. always: makes KVM report the next write to these pages
 * again; otherwise only when the ring fills up. */
int dirty_ring_harvest(struct dirty_ring *ring, const struct slot_set *slots, struct table_log *log,
                       const void *writer, bool always);

/*
 * The same after KVM_EXIT_DIRTY_RING_FULL. A KVM that emulates ring 0 looks only now and then
 * whether the ring is full, and may have gone round meanwhile: over entries that nobody had read,
 * and on. Then a ring is found that is full to the last entry. What it lacks nobody knows, so the
 * log says that all may have been written; and where KVM goes on shows when it next writes. If it
 * does not, since the ring is full to it, entries are given back until it does.
 */
int dirty_ring_full(struct dirty_ring *ring, const struct slot_set *slots, struct table_log *log,
                    const void *writer);

/* Of each VM. */
struct table_sync {
    uint64_t seen; /* of the log */
    bool zap;      /* all translations are to be made anew */
    bool bare;     /* the program is not to be there: what came in costs all translations */
    bool has_helper;
    struct kvm_vcpu helper;
    struct dirty_ring helper_ring;
    uint64_t program; /* guest-physical address of the helper's program; 0: it is not there */
    uint8_t *program_page;
};

void table_sync_destroy(struct table_sync *sync);

struct table_sync_result {
    uint32_t pages; /* that the VM was told of */
    bool zapped;
};

/* Before a VM's vCPU runs: makes the VM know what was written elsewhere. */
int table_sync_run(struct table_sync *sync, const struct slot_set *slots, struct table_log *log,
                   const void *self, const struct host_traits *host, uint32_t slot_of_program,
                   struct table_sync_result *result);

/* Takes the helper's program out of the way of extents. */
void table_sync_leave(struct table_sync *sync, const struct slot_set *slots,
                      uint32_t slot_of_program);

/* A slot that comes and goes. */
int table_sync_zap(const struct slot_set *slots, uint32_t slot);

#endif
