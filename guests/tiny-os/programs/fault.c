/* SPDX-License-Identifier: Apache-2.0 */
/* Writes through a null pointer, or as "fault.elf sysenter" does what AMD has no instruction for in
 * 64-bit mode: the kernel must end it and go on. */
#include "lib/tiny.h"

int main(int argc, char **argv)
{
    volatile int *null = 0;

    (void)argv;
    if (argc > 1)
        __asm__ volatile("sysenter");
    __asm__("" : "+r"(null)); /* the compiler must not see what this is */
    *null = 1;
    tiny_print("fault: survived a null write\n");
    return 1;
}
