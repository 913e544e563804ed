/* SPDX-License-Identifier: Apache-2.0 */
/* Computes for a long time without a call; started before count, only preemption lets that run. */
#include "lib/tiny.h"

#define SPIN_TICKS 400000000ul

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    tiny_print("spin: begin\n");
    tiny_burn(SPIN_TICKS);
    tiny_print("spin: end\n");
    return 0;
}
