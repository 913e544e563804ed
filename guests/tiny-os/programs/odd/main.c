/* SPDX-License-Identifier: Apache-2.0 */
/* Calls what its argument says, and prints what came of it. */
#include "lib/tiny.h"
#include "programs/odd/odd.h"

static int is(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (is(what, "plain")) {
        struct odd_pair pair = odd_pair(5);

        tiny_print("odd: pair %d %d\n", (int)pair.first, (int)pair.second);
        tiny_print("odd: through %d\n", (int)odd_through(3, 4));
        tiny_print("odd: inner denial %d\n", (int)odd_through(ODD_DENIED, 4));
        tiny_print("odd: twins %d %d\n", (int)odd_left(1), (int)odd_right(2));
        tiny_print("odd: deep %d\n", (int)odd_deep(6));
        tiny_print("odd: code %d\n", (int)odd_code(1));
    } else if (is(what, "kill")) {
        odd_through(ODD_KILLS, 4);
    } else if (is(what, "deep")) {
        odd_deep(500);
    } else if (is(what, "large")) {
        odd_large(3);
    }
    tiny_print("odd: over\n");
    return 0;
}
