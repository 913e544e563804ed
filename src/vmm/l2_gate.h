/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_L2_GATE_H
#define VMM_L2_GATE_H

#include "vmm/l2.h"

/* What L1 says of its L2's views: the EPTP list, and where gates may be (mezz/gate.h). The lists
 * are copied and checked before anything is altered. All return 0 or a mezz_error. */

/* MEZZ_CALL_EPTP_LIST. *bad: the index that the error is about. */
int l2_set_eptp_list(struct l2 *l2, l1_address list, uint64_t count, uint64_t *bad);

/* MEZZ_CALL_GATE_SITES. count 0: there are none any more. */
int l2_set_gate_sites(struct l2 *l2, l1_address list, uint64_t count);

bool l2_gate_site_allowed(const struct l2 *l2, uint64_t rip, uint64_t cr3, uint32_t from,
                          uint32_t to);

/* Puts the vCPU into the view of this index, and its VMCS12 with it. 0, a positive mezz_error
 * (MEZZ_E_VIEW: no such view, nothing was done), a negative errno. */
int l2_switch_view(struct l2_vcpu *vcpu, uint64_t index, enum view_carry carry);

#endif
