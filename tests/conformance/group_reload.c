/* SPDX-License-Identifier: Apache-2.0 */
/* Entries that touch one group each, for whoever can count what the root loads: the L2 "reload" has
 * had each group loaded once for its start, and group number N another N + 1 times. */
#include "groups.h"
#include "kit.h"

KIT_CODE(reload_loop, "1: outb %al, $0x61\n jmp 1b");

void group_reload(void)
{
    struct kit_guest guest;
    unsigned int right = 0;

    kit_open(&guest, KIT_LONG, reload_loop);
    CHECK_EQ("start", kit_exit(&guest), MEZZ_EXIT_IO);
    for (unsigned int group = 0; group < MEZZ_GROUP_EXIT; group++) {
        for (unsigned int i = 0; i < group + 1; i++) {
            kit_wrote(&guest, 1ULL << group);
            right += kit_exit(&guest) == MEZZ_EXIT_IO;
        }
    }
    for (unsigned int i = 0; i < 20; i++)
        right += kit_exit(&guest) == MEZZ_EXIT_IO;
    CHECK_EQ("all exits", right, 28 + 20);
    kit_close(&guest);
}
