/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEZZ_GATE_H
#define MEZZ_GATE_H

#include "abi.h"

/*
 * The gate: how an L2 asks for another view, from any ring, as with VMFUNC leaf 0 (SDM 26.5.6.3).
 * It is a page of L2-physical memory with nothing behind it, in any view, whatever EPT12 says; the
 * L2 maps it where it likes. The index of a view in the EPTP list is written to its first bytes, by
 * a plain store of 1, 2 or 4 bytes (8 take longer). The instruction behind the store runs in
 * the other view. What the root refuses is an exit MEZZ_EXIT_GATE; the store has then retired, and
 * L2 is in the view in which it was. Reads of the page give ones.
 *
 * A switch at the gate hands general, control and segment registers over, MSRs that were written,
 * and pending events. XMM, x87 and debug registers and XCR0 are undefined behind it: the code
 * around the gate keeps what it needs. KERNEL_GS_BASE is, too, if CR4.FSGSBASE is clear and GS was
 * loaded from a descriptor between two SWAPGS since the other view was left.
 *
 * Only an L2 that has an EPTP list, or that the root protects, has a gate.
 */
#define MEZZ_GATE_ADDRESS 0xfbad0000ULL

/* Exit qualification of MEZZ_EXIT_GATE; the exit's value is what was written. */
enum mezz_gate_refusal {
    MEZZ_GATE_STORE = 1, /* not a store of at most 8 bytes to the first ones */
    MEZZ_GATE_INDEX = 2, /* the list ends before, or has no EPTP there */
    MEZZ_GATE_SITE = 3   /* MEZZ_CALL_GATE_SITES: not from here */
};

/*
 * Gate sites: where an L2 may switch, and what to. Without any, a switch is allowed from wherever
 * the gate is mapped. rip is that of the instruction behind the store: the root sees no other.
 */
struct mezz_gate_site {
    uint64_t rip;      /* IN */
    uint64_t cr3;      /* IN: page-aligned: only with this CR3 (bits 51:12); or 0 */
    uint32_t from;     /* IN: index of the view, or MEZZ_GATE_ANY_VIEW */
    uint32_t to;       /* IN: the same */
    uint64_t reserved; /* IN: 0 */
};
MEZZ_PIN_SIZE(struct mezz_gate_site, 32);

#define MEZZ_GATE_ANY_VIEW  0xffffffffU
#define MEZZ_MAX_GATE_SITES 512U

#endif
