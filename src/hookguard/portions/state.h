/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_PORTIONS_STATE_H
#define HOOKGUARD_PORTIONS_STATE_H

#include "hookguard/portions/guard.h"

/* Between guard.c, facts.c and binding.c. */

/* A call of a portion, from its entry to its return. */
struct portion_guard_call {
    bool used;
    bool waits; /* outside, to come back */
    bool kept;  /* with registers */
    bool system_call;
    uint64_t entry_rsp;
    uint64_t return_address;
    uint64_t flags; /* PORTION_GUARD_CALLER_FLAGS of its caller */
    bool return_known;
    bool return_matters; /* it has to be there still when the call is come back to */
    uint64_t rip;        /* where it comes back */
    uint64_t next_rip;
    uint64_t rsp;
    uint64_t since;
    struct portion_guard_registers registers;
};

/* A portion in an address space. */
struct portion_guard_binding {
    const struct portion *portion; /* NULL: free */
    uint64_t cr3;
    uint64_t serial;
    struct pattern_cache cache;
    struct portion_guard_call call[PORTION_GUARD_CALLS];
    /* Of each own page, in the order of portion->pages. Here, as there may be no memory to be had
     * when a program comes to its portion. */
    uint64_t frame[PORTION_PAGES_LIMIT];
};

struct portion_guard_claimed {
    uint64_t frame;
    const struct portion *portion;
    size_t page; /* of its own ones */
};

struct portion_guard {
    const struct portion_table *table;
    const struct portion_guard_memory *memory;
    size_t bound; /* the bindings behind these have never been anyone's, and each is a page */
    struct portion_guard_binding binding[PORTION_GUARD_VIEWS];
    struct portion_guard_claimed claim[PORTION_GUARD_CLAIMS];
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
uint64_t portion_guard_page_address(const struct portion *portion, size_t page);
uint32_t portion_guard_page_rights(const struct portion *portion, size_t page);

struct portion_guard_binding *portion_guard_find_binding(struct portion_guard *guard,
                                                         const struct portion *portion,
                                                         uint64_t cr3);
/* One that nobody has and no vCPU sees; NULL. */
struct portion_guard_binding *portion_guard_find_free(struct portion_guard *guard);
/* Whether all its pages are where they were. */
bool portion_guard_intact(struct portion_guard *guard, const struct portion_guard_binding *binding);
bool portion_guard_maps(struct portion_guard *guard, const struct portion_guard_binding *binding,
                        size_t page);

/* IDENTITY_NEW and the frames in guard->frames, or why it cannot be bound. */
enum portion_identity portion_guard_examine(struct portion_guard *guard,
                                            const struct portion *portion, uint64_t cr3);
/* Right after portion_guard_examine said IDENTITY_NEW: whether somebody has written its data
 * already. */
bool portion_guard_is_altered(struct portion_guard *guard, const struct portion *portion);
/* Right after portion_guard_examine said IDENTITY_NEW. NULL: none is free, which decide() rules
 * out. */
struct portion_guard_binding *portion_guard_bind(struct portion_guard *guard,
                                                 const struct portion *portion, uint64_t cr3);
/* Wipes its writable frames, unless the portion tolerates this reason. */
void portion_guard_release(struct portion_guard *guard, struct portion_guard_binding *binding,
                           enum decision_reason reason);

#endif
