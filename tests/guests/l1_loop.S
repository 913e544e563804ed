/* SPDX-License-Identifier: Apache-2.0 */
/* Never ends, never exits. */
#include "guest.inc"

start:
    sti
1:  jmp 1b
