/* SPDX-License-Identifier: Apache-2.0 */
/* Never ends, never exits. */
#include "guest.h"

start:
    jmp start
