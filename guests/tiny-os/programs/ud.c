/* SPDX-License-Identifier: Apache-2.0 */
/* Executes an undefined instruction: not mistaken for a system call, and the program ends. */
#include "lib/tiny.h"

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    __asm__ volatile("ud2");
    tiny_print("ud: survived ud2\n");
    return 1;
}
