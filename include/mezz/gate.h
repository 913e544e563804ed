/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEZZ_GATE_H
#define MEZZ_GATE_H

/*
 * The gate: how an L2 asks for another view, from any ring, as with VMFUNC leaf 0 (SDM 26.5.6.3).
 * It is a page of L2-physical memory with nothing behind it, in any view, whatever EPT12 says; the
 * L2 maps it where it likes. The index of a view in the EPTP list is written to its first bytes, by
 * a plain store of 1, 2 or 4 bytes (8 take longer). The instruction behind the store runs in
 * the other view. The root refuses with MEZZ_EXIT_GATE: an index that the list does not have or
 * that has no EPTP, a site that is not allowed, a store elsewhere in the page or of another kind.
 *
 * A switch at the gate hands general, control and segment registers over, and pending events. XMM,
 * x87 and debug registers are undefined behind it: the code around the gate keeps what it needs.
 *
 * Only an L2 that has an EPTP list, or that the root protects, has a gate.
 */
#define MEZZ_GATE_ADDRESS 0xfbad0000ULL

#endif
