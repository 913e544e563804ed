/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PROTECT_PORTIONS_CALL_SITE_H
#define VMM_PROTECT_PORTIONS_CALL_SITE_H

#include <stdbool.h>
#include <stdint.h>

#define CALL_SITE_BYTES 8

/* Whether these bytes, of 64-bit code, may be the end of a near call: what is before the address
 * that a call has pushed. */
bool call_site_ends_here(const uint8_t bytes[CALL_SITE_BYTES]);

#endif
