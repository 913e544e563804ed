/* SPDX-License-Identifier: Apache-2.0 */
/* Writes through a null pointer: the kernel must end it and go on. */
#include "lib/tiny.h"

int main(int argc, char **argv)
{
    volatile int *null = 0;

    (void)argc;
    (void)argv;
    __asm__("" : "+r"(null)); /* the compiler must not see what this is */
    *null = 1;
    tiny_print("fault: survived a null write\n");
    return 1;
}
