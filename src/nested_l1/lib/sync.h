/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_LIB_SYNC_H
#define L1_LIB_SYNC_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ept.h"
#include "mezz/vmcs12.h"

/*
 * Brings L1's virtual objects up to date by what the root changed in the real ones. vmcs may be the
 * page that the root shares or a copy of it; no clean bit is cleared, since the root has these
 * values already. An EPT leaf that is not what it was when the root altered it stays: L1 meant it.
 * False: a record is none; those before it are applied.
 */
bool sync_apply(struct mezz_vmcs12 *vmcs, struct ept *ept, const struct mezz_sync_record *record,
                uint32_t count);

#endif
