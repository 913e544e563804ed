/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_EPT12_EDITS_H
#define VIEWS_EPT12_EDITS_H

#include "views/ept12.h"

/* Between ept12.c and ept12_edits.c. */

/* The edit of the page at this address, or NULL. */
struct ept12_edit *ept12_edits_find(struct ept12_edits *edits, l2_address l2);

void ept12_edits_unuse(struct ept12_edits *edits);
void ept12_edits_remove_unused(struct ept12_edits *edits);

#endif
