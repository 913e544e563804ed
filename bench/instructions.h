/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_INSTRUCTIONS_H
#define BENCH_INSTRUCTIONS_H

#include "host/error.h"
#include "subject.h"

/*
 * How many instructions of L1 a callback takes: one callback of this subject, single-stepped
 * (KVM_GUESTDBG_SINGLESTEP), from the handler's first instruction to the `out` that ends it, which
 * counts. -ENOTSUP and why, when this KVM cannot; the subject is of no use then.
 */
int instructions_per_callback(struct subject *subject, unsigned int *count, struct error *error);

#endif
