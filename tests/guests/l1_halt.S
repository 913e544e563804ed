/* SPDX-License-Identifier: Apache-2.0 */
/* Waits for an interrupt that cannot come. */
#include "guest.inc"

start:
    cli
    hlt
    jmp start
