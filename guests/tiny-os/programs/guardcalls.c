/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls a guarded function for ever, for `mezz bench`: "allowed" and "denied" by the agent; with
 * "unguarded", a thousand calls of a function that nobody guards for each guarded one.
 */
#include "api/api.h"
#include "lib/tiny.h"

#define UNGUARDED 1000

int main(int argc, char **argv)
{
    const char kind = argc > 1 ? argv[1][0] : 'a';

    for (;;) {
        if (kind == 'd') {
            api_open("secret", 0);
        } else {
            api_sum(0, 0);
        }
        for (int i = 0; kind == 'u' && i < UNGUARDED; i++) {
            api_nothing();
        }
    }
}
