/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEZZ_EPT_H
#define MEZZ_EPT_H

#include "abi.h"

/*
 * EPT12: real extended page tables in L1's memory (SDM 29.3), four levels, leaves of 4 KiB, 2 MiB
 * and 1 GiB. An entry with none of R, W and X is not present, and its other bits are ignored.
 */
#define MEZZ_EPT_READ        (1ULL << 0)
#define MEZZ_EPT_WRITE       (1ULL << 1)
#define MEZZ_EPT_EXECUTE     (1ULL << 2)
#define MEZZ_EPT_RWX         (MEZZ_EPT_READ | MEZZ_EPT_WRITE | MEZZ_EPT_EXECUTE)
#define MEZZ_EPT_MEMORY_TYPE (7ULL << 3) /* leaves: write-back, MEZZ_EPT_WRITE_BACK */
#define MEZZ_EPT_WRITE_BACK  (6ULL << 3)
#define MEZZ_EPT_IGNORE_PAT  (1ULL << 6)
#define MEZZ_EPT_LEAF        (1ULL << 7) /* in a PDPTE or a PDE */
#define MEZZ_EPT_ACCESSED    (1ULL << 8) /* with MEZZ_EPTP_DIRTY_FLAGS: set together with DIRTY */
#define MEZZ_EPT_DIRTY       (1ULL << 9) /* with MEZZ_EPTP_DIRTY_FLAGS, in a leaf */
/* Bit 52, which processors ignore, in a 4 KiB leaf with R-X: at the first write of L2 the root
 * copies the page to a frame that L1 gave (MEZZ_CALL_FRAME_POOL), and L2 goes on with the copy,
 * RWX. Without a frame the write is an EPT violation as without this bit. */
#define MEZZ_EPT_COPY_ON_WRITE (1ULL << 52)
#define MEZZ_EPT_ADDRESS       0x000ffffffffff000ULL
#define MEZZ_EPT_ENTRIES       512
#define MEZZ_EPT_LEVELS        4
/* Reserved in a table entry: bits 7:3. In a large leaf: the address bits below its size. */
#define MEZZ_EPT_TABLE_RESERVED (0x1fULL << 3)

/* EPTP (SDM table 25-9): memory type of the tables in bits 2:0, levels - 1 in bits 5:3. */
#define MEZZ_EPTP_WRITE_BACK 6ULL
#define MEZZ_EPTP_LEVELS     (3ULL << 3)
/* Accessed and dirty flags (SDM 29.3.5): the root keeps a page that L2 may write and whose leaf is
 * not DIRTY write-protected, opens it at the first write, and tells L1 that the leaf is DIRTY by a
 * synchronization record (vmcs12.h). To start again L1 clears the flags and calls MEZZ_CALL_INVEPT.
 * A page with one of L2's own page tables counts as written when L2 uses the table, here and for
 * MEZZ_EPT_COPY_ON_WRITE. */
#define MEZZ_EPTP_DIRTY_FLAGS (1ULL << 6)
#define MEZZ_EPTP(table)      ((uint64_t)(table) | MEZZ_EPTP_WRITE_BACK | MEZZ_EPTP_LEVELS)
#define MEZZ_EPTP_LOW_MASK    0xfffULL

#endif
