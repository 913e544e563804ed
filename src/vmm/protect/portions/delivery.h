/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PROTECT_PORTIONS_DELIVERY_H
#define VMM_PROTECT_PORTIONS_DELIVERY_H

#include "vmm/protect/portions/address_space.h"

/* Adds what the processor reads and writes to deliver an event that comes in ring 3, and where the
 * kernel then begins. What is written must not be what is read: after the event it is judged by
 * what is read then. 0; or as address_space_read(). */
int delivery_read(struct address_space *space, const struct guest_memory *memory, uint64_t cr3,
                  struct kept_space *kept);

#endif
