/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PROTECT_KERNEL_ENTRY_H
#define VMM_PROTECT_KERNEL_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/protect/guest_memory.h"

/* What the processor pushed before it went to the kernel's first instruction, where the vCPU that
 * the memory was looked at with is now. */
struct kernel_entry {
    bool known;        /* RSP is where an event from ring 3 leaves it */
    bool system_call;  /* by INT: RIP is behind it, or at it where KVM makes an invalid opcode of it
                        */
    uint64_t next_rip; /* then: where it goes on, or 0 if that is rip */
    uint64_t call_handler; /* where the kernel has to begin then instead; 0: where it is */
    uint64_t frame;        /* where all of this lies */
    uint64_t rip;
    uint64_t rsp;
    uint16_t cs;

    /* Also where RSP is not known to be that, as another vCPU may have written the TSS since. */
    uint64_t flags_at; /* where RFLAGS lie; 0: there was no event of ring 3 */
    uint64_t rflags;
};

void kernel_entry_find(struct kernel_entry *entry, const struct guest_memory *memory);

/* The address in the gate of this vector. False: there is none. */
bool kernel_entry_handler(const struct guest_memory *memory, unsigned int vector,
                          uint64_t *handler);

#endif
