/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_HOST_TRAITS_H
#define VIEWS_HOST_TRAITS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/error.h"
#include "host/kvm.h"
#include "views/probe.h"

/* What the engines have to know of this host, found out by running small guests. */
struct host_traits {
    struct host_paging paging;
    uint32_t ring_entries; /* of a dirty ring; 0: this KVM has none */
    /* Shadow paging: each write of ring 0 is reported in the dirty ring, not only the first to a
     * page: KVM runs ring 0 by its emulator. */
    bool logs_each_write;
    /* KVM empties a vCPU's TLB by a bit in memory (tlb_page.h). */
    bool flushes_on_request;
    bool two_sides;    /* side.h */
    bool leaves_steps; /* step.h */
};

enum engine_kind {
    ENGINE_FLIP,
    ENGINE_REMAP,
    ENGINE_SLOTS,
    ENGINE_KINDS
};

/* Takes up to four VMs, a few milliseconds. 0, or a negative errno with a message. */
int host_traits_probe(const struct kvm *kvm, struct host_traits *traits, struct error *error);

/* The engine for this host, and a sentence that says why. */
enum engine_kind engine_choose(const struct host_traits *traits, const char **why);

const char *engine_name(enum engine_kind kind);
/* ENGINE_KINDS if there is none of this name. */
enum engine_kind engine_by_name(const char *name);

#endif
