/* SPDX-License-Identifier: Apache-2.0 */
/* Sends a call that no ABI has; ends the machine with the error code that it got. */
#include "guest.inc"
#include "mezz/abi.h"

#define CALL_PORT 0x7e

start:
    movl $0x7777, %eax
    outb %al, $CALL_PORT
    negl %eax
    movw $MEZZ_PORT_DEBUG_EXIT, %dx
    outb %al, %dx
    hlt
