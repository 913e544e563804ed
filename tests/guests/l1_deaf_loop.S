/* SPDX-License-Identifier: Apache-2.0 */
/* Never ends, never exits, takes no interrupts. */
#include "guest.inc"

start:
    cli
1:  jmp 1b
