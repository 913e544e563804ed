/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PAGING_EVENTS_H
#define VMM_PAGING_EVENTS_H

#include <stdbool.h>

#include "vmm/l2.h"

/*
 * Writes of an L2 that the root answers by altering the EPT that is really used (mezz/ept.h): the
 * first write to a page that is not DIRTY, and the first to a page that is COPY_ON_WRITE. L1's
 * EPT12 is left alone; a record tells L1.
 */

/* translation: of the address, without W. True: the page can be written now, the view is rebuilt.
 */
bool paging_open_for_write(struct l2_vcpu *vcpu, const struct ept12_translation *translation);

/* MEZZ_CALL_FRAME_POOL: takes the frames, all or none. 0 or a mezz_error. */
int paging_give_frames(struct l2 *l2, const uint64_t *frames, unsigned int count);

#endif
