/* SPDX-License-Identifier: Apache-2.0 */
/* Counts with a little work in between, never yielding: see spin. */
#include "lib/tiny.h"

#define COUNT_TO    5
#define COUNT_TICKS 20000000ul

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    for (int i = 1; i <= COUNT_TO; i++) {
        tiny_print("count: %d\n", i);
        tiny_burn(COUNT_TICKS);
    }
    return 0;
}
