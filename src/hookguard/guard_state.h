/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_GUARD_STATE_H
#define HOOKGUARD_GUARD_STATE_H

#include "hookguard/guard.h"

/* Between guard.c, guard_facts.c and guard_binding.c. */

/* A call of a portion, from its entry to its return. */
struct guard_call {
    bool used;
    bool waits; /* outside, to come back */
    bool kept;  /* with registers */
    bool system_call;
    uint64_t entry_rsp;
    uint64_t return_address;
    uint64_t flags; /* GUARD_CALLER_FLAGS of its caller */
    bool return_known;
    bool return_matters; /* it has to be there still when the call is come back to */
    uint64_t rip;        /* where it comes back */
    uint64_t next_rip;
    uint64_t rsp;
    uint64_t since;
    struct guard_registers registers;
};

/* A portion in an address space. */
struct guard_binding {
    const struct portion *portion; /* NULL: free */
    uint64_t cr3;
    uint64_t serial;
    struct pattern_cache cache;
    struct guard_call call[GUARD_CALLS];
    /* Of each own page, in the order of portion->pages. Here, as there may be no memory to be had
     * when a program comes to its portion. */
    uint64_t frame[PORTION_PAGES_LIMIT];
};

struct guard_claimed {
    uint64_t frame;
    const struct portion *portion;
    size_t page; /* of its own ones */
};

struct guard {
    const struct portion_table *table;
    const struct guard_memory *memory;
    size_t bound; /* the bindings behind these have never been anyone's, and each is a page */
    struct guard_binding binding[GUARD_VIEWS];
    struct guard_claimed claim[GUARD_CLAIMS];
    size_t claims;
    uint64_t version;
    uint64_t serial;
    uint64_t scans;
    uint64_t clock;                       /* counts calls */
    uint64_t frames[PORTION_PAGES_LIMIT]; /* of the address space that is looked at */
    uint8_t seen[4096];
    uint8_t due[4096];
};

/* The linear address and the rights of an own page. */
uint64_t guard_page_address(const struct portion *portion, size_t page);
uint32_t guard_page_rights(const struct portion *portion, size_t page);

struct guard_binding *guard_find_binding(struct guard *guard, const struct portion *portion,
                                         uint64_t cr3);
/* One that nobody has and no vCPU sees; NULL. */
struct guard_binding *guard_find_free(struct guard *guard);
/* Whether all its pages are where they were. */
bool guard_intact(struct guard *guard, const struct guard_binding *binding);
bool guard_maps(struct guard *guard, const struct guard_binding *binding, size_t page);

/* IDENTITY_NEW and the frames in guard->frames, or why it cannot be bound. */
enum portion_identity guard_examine(struct guard *guard, const struct portion *portion,
                                    uint64_t cr3);
/* Right after guard_examine said IDENTITY_NEW: whether somebody has written its data already. */
bool guard_is_altered(struct guard *guard, const struct portion *portion);
/* Right after guard_examine said IDENTITY_NEW. NULL: none is free, which decide() rules out. */
struct guard_binding *guard_bind(struct guard *guard, const struct portion *portion, uint64_t cr3);
/* Wipes its writable frames, unless the portion tolerates this reason. */
void guard_release(struct guard *guard, struct guard_binding *binding, enum decision_reason reason);

#endif
