/* SPDX-License-Identifier: Apache-2.0 */
/* The frame of a guest that goes wrong on purpose: it starts at `start`, in PVH's 32-bit protected
 * mode, without a stack. */
#include "mezz/pvh.h"

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 4, MEZZ_PVH_NOTE_TYPE
    .asciz MEZZ_PVH_NOTE_NAME
    .long start

    .text
    .code32
    .globl start
