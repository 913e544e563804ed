/* SPDX-License-Identifier: Apache-2.0 */
/* Executes an undefined instruction: not mistaken for a system call, and the program ends. With an
 * argument it is RSM, which is one outside of a processor's management mode. */
#include "lib/tiny.h"

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        __asm__ volatile("rsm");
    else
        __asm__ volatile("ud2");
    tiny_print("ud: survived ud2\n");
    return 1;
}
