/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VMCS_FIELDS_H
#define VMM_VMCS_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

/* The fields of a VMCS12 that VMREAD and VMWRITE know, by their exact places and widths
 * (MEZZ_VMCS12_FIELD). Reserved bytes, parts of a field and several at once are none. */

/* Whether there is one of this name, which L1 may write if `write`. */
bool vmcs12_field_exists(uint64_t name, bool write);

/* The bit of the group whose clean bit a write clears; 0 for a field in none. */
uint64_t vmcs12_field_group(uint64_t name);

#endif
