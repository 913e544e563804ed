/* SPDX-License-Identifier: Apache-2.0 */
/* Waits for an interrupt that cannot come. */
#include "guest.h"

start:
    cli
    hlt
    jmp start
