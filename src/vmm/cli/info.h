/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_INFO_H
#define VMM_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cage/cage.h"
#include "host/error.h"
#include "host/kvm.h"
#include "views/host_traits.h"

/* What there is to know of this host's KVM. */

/* The KVM implementation of this host, "kvm_amd" for example, as its module is called; "unknown".
 */
const char *info_kvm_name(void);

struct info_capability {
    const char *name;
    unsigned int capability;
    int bits; /* of KVM_CHECK_EXTENSION's answer; 0: all of it, as a number */
    bool needed;
    const char *purpose;
};

/* Ends with a NULL name. */
extern const struct info_capability info_capabilities[];

int info_capability_value(const struct kvm *kvm, const struct info_capability *capability);

struct info {
    const char *device;
    struct error kvm_error; /* why there is no KVM to be used, and what to do about it */
    bool has_kvm;           /* the rest is known without */
    char kernel[65];
    struct cage_offer cage;
    /* Of KVM alone. */
    struct kvm kvm;
    int api_version;
    struct host_traits host;
    struct error probe_error; /* what PAGING_UNKNOWN is about */
};

void info_collect(struct info *info, const char *device);
void info_release(struct info *info);

void info_print(FILE *out, const struct info *info);

/* Text to free(), ended by a new line; NULL: no memory. */
char *info_json(const struct info *info);

#endif
