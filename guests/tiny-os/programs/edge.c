/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jumps to half a system call: CD is the last executable byte, and where 80 should be nothing can
 * be executed. A kernel that looks at the bytes must not trip over the edge.
 */
#include "lib/tiny.h"

void half_a_call(void);
__asm__(".section .text_end, \"ax\"\n"
        ".balign 4096\n"
        ".skip 4095, 0x90\n"
        "half_a_call:\n"
        ".byte 0xcd\n"
        ".text\n");

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    half_a_call();
    tiny_print("edge: survived half a call\n");
    return 1;
}
