/* SPDX-License-Identifier: Apache-2.0 */
/* An L1 that enters its L2 again, at once, when an entry has failed. */
#include "kit.h"

#define FAILED (MEZZ_EXIT_INVALID_GUEST_STATE | MEZZ_EXIT_ENTRY_FAILED)

KIT_CODE(impatient_halts, "1: hlt\n"
                          "jmp 1b\n");

static void again(void)
{
    struct kit_guest guest;

    kit_open(&guest, KIT_LONG, impatient_halts);
    guest.vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING;
    CHECK_EQ("the first entry", kit_exit(&guest), FAILED);
    CHECK_EQ("why", guest.vmcs->exit.qualification, MEZZ_CHECK_HOST);
    CHECK_EQ("the second entry", kit_exit(&guest), FAILED);
    CHECK_EQ("the third entry", kit_exit(&guest), MEZZ_EXIT_HLT);
    kit_close(&guest);
}

const struct kit_group kit_groups[] = {
    {"again", again, false},
    {NULL, NULL, false},
};

KIT_PROGRAM
