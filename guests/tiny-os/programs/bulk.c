/* SPDX-License-Identifier: Apache-2.0 */
/* A large program: what a kernel writes to load it is more than KVM's dirty ring has entries for.
 */
#include "lib/tiny.h"

#define PAGE  4096
#define PAGES 300
#define BYTE  7

static uint8_t bulk[PAGES * PAGE] = {[0 ... PAGES * PAGE - 1] = BYTE};

int main(int argc, char **argv)
{
    unsigned int right = 0;

    (void)argc;
    for (unsigned int i = 0; i < PAGES; i++) {
        const volatile uint8_t *page = bulk + i * PAGE;

        right += page[0] == BYTE && page[PAGE / 2] == BYTE && page[PAGE - 1] == BYTE;
    }
    tiny_print("%s: %u of %u pages are right\n", argv[0], right, PAGES);
    return right == PAGES ? 0 : 1;
}
