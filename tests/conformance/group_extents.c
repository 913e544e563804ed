/* SPDX-License-Identifier: Apache-2.0 */
/* Dirty flags of so many pages that the extents between them come to the root's limit. */
#include "groups.h"
#include "kit.h"

#define AD     (MEZZ_EPT_ACCESSED | MEZZ_EPT_DIRTY)
#define SPLIT  31900U /* pages, each an extent from the start */
#define STORES 80U    /* each to a pair of pages of its own, which it splits */

/* Page SPLIT is at 0x27c9c000. */
KIT_CODE(extents_write, "0: movl $0x27c9c000, %ebx\n movl $80, %ecx\n"
                        "1: movq %rcx, (%rbx)\n addq $8200, %rbx\n decl %ecx\n jnz 1b\n"
                        "hlt\n jmp 0b");

static struct kit_guest guest;

/* Pairs of pages that are one run of L1's memory each, and the same for all: of the first ones a
 * page is dirty and one is not, of the last ones none is. */
static void open_pairs(void)
{
    kit_open(&guest, KIT_LONG, extents_write);
    for (const char *at = kit_l2_start; at < kit_l2_end; at += MEZZ_PAGE_SIZE)
        *kit_ept_leaf(guest.pml4, kit_address(at)) |= AD;
    for (uint64_t i = 0; i < SPLIT + 2 * STORES; i++)
        kit_ept_map(guest.pml4, KIT_L2_DATA + i * MEZZ_PAGE_SIZE,
                    guest.data + i % 2 * MEZZ_EPT_ENTRIES,
                    i < SPLIT && i % 2 == 0 ? MEZZ_EPT_RWX | AD : MEZZ_EPT_RWX);
    guest.vmcs->ept.eptp |= MEZZ_EPTP_DIRTY_FLAGS;
}

static unsigned int stored(void)
{
    unsigned int count = 0;

    for (unsigned int i = 0; i < STORES; i++) {
        count += guest.data[i] == STORES - i;
        guest.data[i] = 0;
    }
    return count;
}

/* Puts the records of this exit into EPT12. */
static unsigned int apply(void)
{
    const struct mezz_sync_area *sync = &guest.vmcs->sync;
    unsigned int count = 0;

    for (uint32_t i = 0; i < sync->count && i < MEZZ_SYNC_RECORDS; i++) {
        if (sync->record[i].object == MEZZ_SYNC_EPT) {
            *kit_ept_leaf(guest.pml4, sync->record[i].key) = sync->record[i].to;
            count++;
        }
    }
    return count;
}

void group_extents(void)
{
    unsigned int records = 0;
    unsigned int passes = 0;

    open_pairs();
    do {
        KIT_LABEL("first writes past the limit");
        CHECK_EQ("none is a violation", kit_exit(&guest), MEZZ_EXIT_HLT);
        CHECK_EQ("none is lost", stored(), STORES);
        records += apply();
    } while (guest.vmcs->sync.more > 0 && ++passes < 5);
    CHECK_EQ("a record of each page", records, STORES);
    KIT_LABEL("after INVEPT");
    kit_invept(&guest);
    CHECK_EQ("none is a violation", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("none is lost", stored(), STORES);
    CHECK_EQ("no record twice", apply(), 0);
    kit_close(&guest);
}
