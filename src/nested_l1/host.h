/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_HOST_H
#define L1_HOST_H

#include <stdint.h>

struct guest_config;
struct l1;
struct l2;

/*
 * What L1 hosts its guests on: the root hypervisor beneath it, by calls (host_root.c), or, where
 * there is none, the processor's own virtualization (svm/). Whatever it is, a guest is entered with
 * its VMCS12 and EPT12, and its exit is found in the VMCS12.
 */
struct host {
    const char *found; /* what L1 says of it */
    uint32_t ept;      /* CONFIG_EPT_... that it can do */

    /* These answer NULL, or what went wrong: if *error is negative, the call that was refused. */
    const char *(*create)(struct l2 *l2, const struct guest_config *config, int64_t *error);
    /* The VMCS12 and the EPT12 are complete. */
    const char *(*create_vcpu)(struct l1 *l1, struct l2 *l2, int64_t *error);

    int64_t (*enter)(struct l2 *l2); /* as MEZZ_CALL_ENTER */
    void (*destroy)(struct l2 *l2, uint32_t status);
    uint64_t (*time)(void); /* nanoseconds */
};

extern const struct host host_root;

/* svm/svm.c. NULL if this processor has SVM with nested paging, which is then switched on;
 * otherwise what is missing. */
const char *host_svm_start(void);
extern const struct host host_svm;

#endif
