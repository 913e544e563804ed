/* SPDX-License-Identifier: Apache-2.0 */
/* A library whose pages have the same bytes, in pairs. Never run. */
#include "functions.inc"

    .text
    .balign 4096
function api_open
    .skip 16, 0x90
    ret
end api_open

    .balign 4096
function helper
    .skip 16, 0x90
    ret
end helper

    .balign 4096
function api_read
    .skip 64, 0x90
    movl $1, %eax
    ret
end api_read

    .balign 4096
    .skip 16, 0x90
function api_write
    .skip 48, 0x90
    movl $1, %eax
    ret
end api_write

    .balign 4096
    .section .note.GNU-stack, "", @progbits
