/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_PROBE_H
#define VIEWS_PROBE_H

#include <stdbool.h>

#include "host/error.h"
#include "host/kvm.h"

/*
 * What this host's KVM does with a guest's page tables, found out by running a small guest and
 * never by a name: whoever lets two VMs share memory, or edits a guest's page tables from outside,
 * has to know.
 */
enum paging_kind {
    PAGING_UNKNOWN,
    PAGING_HARDWARE, /* the processor walks the guest's own tables (EPT, NPT) */
    PAGING_SHADOW    /* KVM keeps copies: a table written behind its back stays as it was */
};

struct host_paging {
    enum paging_kind kind;
    /* PAGING_SHADOW: what makes KVM look at the tables again. */
    bool slot_cures;  /* creating and deleting a memory slot */
    bool remap_cures; /* mapping the page anew that the old translation led to */
};

/* Takes one VM, about a millisecond. 0; PAGING_UNKNOWN is 0, too, with what the guest did in
 * error->text. A negative errno value when the host has no room for the VM. */
int host_paging_probe(const struct kvm *kvm, struct host_paging *paging, struct error *error);

const char *paging_name(enum paging_kind kind);

#endif
