/* SPDX-License-Identifier: Apache-2.0 */
/* Greets, and shows its arguments. */
#include "lib/tiny.h"

int main(int argc, char **argv)
{
    tiny_print("hello from ring 3: %s, pid %d\n", argc ? argv[0] : "?", tiny_getpid());
    for (int i = 1; i < argc; i++) {
        tiny_print("hello: argument %d: %s\n", i, argv[i]);
    }
    return 0;
}
