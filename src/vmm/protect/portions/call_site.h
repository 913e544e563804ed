/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PROTECT_PORTIONS_CALL_SITE_H
#define VMM_PROTECT_PORTIONS_CALL_SITE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/protect/guest_memory.h"

#define CALL_SITE_BYTES 8

/* Whether these bytes, of 64-bit code, may be the end of a near call: what is before the address
 * that a call has pushed. */
bool call_site_ends_here(const uint8_t bytes[CALL_SITE_BYTES]);

/* Whether a call ends at this linear address. What lies before it and is not mapped is part of
 * none. */
bool call_site_is_before(const struct guest_memory *memory, uint64_t cr3, uint64_t address);

#endif
