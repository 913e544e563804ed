/* SPDX-License-Identifier: Apache-2.0 */
/* An exception without an IDT, two levels up. */
#include "guest.inc"

start:
    lidt no_table
    ud2

no_table:
    .word 0
    .long 0
