/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/exits/paging_events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mezz/errors.h"
#include "vmm/l2_view.h"
#include "vmm/machine_state.h"

#define FRAME_LIMIT 65536U

/* Other vCPUs that run in the view go on with what it was, until they next enter. */
static bool alter(struct space_view *view, const struct ept12_translation *translation, uint64_t to)
{
    struct ept12_edits *edits = space_view_edits(view);
    int code;

    if (ept12_edits_add(edits, translation->page, translation->leaf, to) != 0)
        return false;
    code = space_view_rebuild(view, NULL);
    if (code == -EBUSY)
        space_view_set_stale(view);
    else if (code != 0)
        ept12_edits_remove(edits, translation->page);
    space_edited(view);
    return code == 0 || code == -EBUSY;
}

static bool is_copy_on_write(const struct ept12_translation *translation)
{
    return translation->leaf & MEZZ_EPT_COPY_ON_WRITE && translation->page_size == PAGE_SIZE &&
           (translation->leaf & MEZZ_EPT_RWX) == (MEZZ_EPT_READ | MEZZ_EPT_EXECUTE);
}

bool paging_open_for_write(struct l2_vcpu *vcpu, const struct ept12_translation *translation)
{
    struct space_view *view = vcpu->place.view;
    struct l2 *l2 = vcpu->l2;
    const struct l1_memory *l1 = &l2->machine->l1_memory;
    uint64_t flags = 0;
    uint64_t frame;

    if (space_view_eptp(view) & MEZZ_EPTP_DIRTY_FLAGS)
        flags = MEZZ_EPT_DIRTY | MEZZ_EPT_ACCESSED;
    if (translation->leaf & MEZZ_EPT_WRITE)
        return flags != 0 && !(translation->leaf & MEZZ_EPT_DIRTY) &&
               alter(view, translation, translation->leaf | flags);
    if (!is_copy_on_write(translation) || l2->frame_count == 0)
        return false;
    frame = l2->frames[--l2->frame_count];
    memcpy(l1_pointer(l1, l1_at(frame), PAGE_SIZE),
           l1_pointer(l1, l1_at(translation->leaf & MEZZ_EPT_ADDRESS), PAGE_SIZE), PAGE_SIZE);
    if (alter(view, translation, frame | MEZZ_EPT_RWX | MEZZ_EPT_WRITE_BACK | flags)) {
        /* Who reads the page elsewhere reads the copy once this vCPU has written it. */
        l2_view_stop_others(vcpu);
        return true;
    }
    l2->frame_count++;
    return false;
}

int paging_give_frames(struct l2 *l2, const uint64_t *frames, unsigned int count)
{
    uint64_t *grown;

    for (unsigned int i = 0; i < count; i++) {
        if (frames[i] % PAGE_SIZE != 0)
            return MEZZ_E_ALIGNMENT;
        if (!l1_contains(&l2->machine->l1_memory, l1_at(frames[i]), PAGE_SIZE))
            return MEZZ_E_ADDRESS;
    }
    if (l2->frame_count + count > FRAME_LIMIT)
        return MEZZ_E_LIMIT;
    grown = realloc(l2->frames, (l2->frame_count + count) * sizeof(*grown));
    if (grown == NULL)
        return MEZZ_E_HOST;
    memcpy(grown + l2->frame_count, frames, count * sizeof(*grown));
    l2->frames = grown;
    l2->frame_count += count;
    return 0;
}
