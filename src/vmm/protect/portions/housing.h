/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PROTECT_PORTIONS_HOUSING_H
#define VMM_PROTECT_PORTIONS_HOUSING_H

#include <stdbool.h>

#include "vmm/protect/guest_memory.h"

/*
 * What a processor reads and writes by itself, wherever the guest's kernel has let it lie: page
 * tables, those of ring 0, too, IDT, GDT, TSS and the stacks of ring 0. Where its page has no slot
 * KVM neither ends the access nor tells of it.
 */
#define HOUSING_TABLES_LIMIT 2048U

/* The first page of these of which `closed` says so. False: there is none among those that can be
 * found. The vCPU is the one that the memory was looked at with. */
bool housing_find(const struct guest_memory *memory,
                  bool (*closed)(const void *context, uint64_t frame), const void *context,
                  uint64_t *frame);

#endif
