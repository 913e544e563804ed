/* SPDX-License-Identifier: Apache-2.0 */
/* Has other code and other data at the portion's addresses, which are its own to use. */
#include "lib/tiny.h"

__attribute__((section(".vault"), noinline)) static uint64_t twice(uint64_t number)
{
    return 2 * number;
}

__attribute__((section(".secret"))) static volatile uint64_t number = 21;

int main(int argc, char **argv)
{
    (void)argc;
    for (unsigned i = 0; i < 5; i++) {
        tiny_yield();
        number = twice(number) / 2;
    }
    tiny_print("%s: %d is the answer\n", argv[0], (int)twice(number));
    return 0;
}
