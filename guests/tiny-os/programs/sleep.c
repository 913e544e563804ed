/* SPDX-License-Identifier: Apache-2.0 */
/* Sleeps three times; with nobody else to run, the kernel halts meanwhile. */
#include "lib/tiny.h"

#define SLEEP_MS 20

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    for (int i = 1; i <= 3; i++) {
        int64_t result = tiny_sleep(SLEEP_MS);

        if (result) {
            tiny_print("sleep: no timer (%ld)\n", result);
            return 0;
        }
        tiny_print("sleep: woke up, %d\n", i);
    }
    return 0;
}
