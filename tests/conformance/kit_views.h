/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KIT_VIEWS_H
#define KIT_VIEWS_H

/* An L2 with several views: each shows a page of its own at KIT_L2_ABSENT, whose first word is 100
 * and the view's index. */

#include "kit_guest.h"
#include "mezz/gate.h"

struct kit_views {
    struct kit_guest guest;
    uint32_t count;
    uint64_t *list;                 /* L1's page of EPTPs */
    uint64_t *pml4[MEZZ_MAX_VIEWS]; /* EPT12 of each view */
    uint64_t *page[MEZZ_MAX_VIEWS]; /* at KIT_L2_ABSENT */
};

static inline struct mezz_result kit_set_list(const struct kit_views *views)
{
    return mezz_call_value(MEZZ_CALL_EPTP_LIST, views->guest.l2, kit_address(views->list),
                           views->count);
}

/* The list is L1's, and not yet the root's. */
static inline void kit_views_open(struct kit_views *views, enum kit_mode mode, const void *code,
                                  uint32_t count)
{
    kit_open(&views->guest, mode, code);
    views->count = count;
    views->list = kit_pages(1);
    for (uint32_t i = 0; i < count; i++) {
        views->page[i] = kit_pages(1);
        views->page[i][0] = 100 + i;
        views->pml4[i] = i == 0 ? views->guest.pml4 : kit_ept(views->guest.data);
        kit_ept_map(views->pml4[i], KIT_L2_ABSENT, views->page[i], MEZZ_EPT_RWX);
        views->list[i] = MEZZ_EPTP(kit_address(views->pml4[i]));
    }
}

static inline void kit_go_to_view(const struct kit_views *views, uint32_t index)
{
    views->guest.vmcs->ept.eptp = views->list[index];
    views->guest.vmcs->ept.eptp_index = index;
    kit_wrote(&views->guest, MEZZ_GROUP_BIT(MEZZ_GROUP_EPT));
}

#endif
