/* SPDX-License-Identifier: Apache-2.0 */
/* MEZZ_ACTION_STOP_L2 beyond what group_actions.c looks at. */
#include "groups.h"
#include "kit.h"

KIT_CODE(stop_out, "1: outb %al, $0x61\n jmp 1b");

/* The only exit of the L2 "stop", for whoever can see how it is counted. */
static void observed(void)
{
    struct kit_callback callback;
    struct kit_guest guest;

    KIT_LABEL("STOP_L2 of what the root handled");
    kit_open(&guest, KIT_LONG, stop_out);
    guest.vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING;
    kit_callback_init(&callback, &guest, MEZZ_EXIT_IO);
    callback.registration.mode = MEZZ_MODE_OBSERVE;
    callback.action = MEZZ_ACTION_STOP_L2;
    kit_register(&callback);
    CHECK_EQ("ENTER returns", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("after one exit", guest.vmcs->exit.count, 1);
    CHECK_ERROR("L2 can not be entered again", kit_enter(&guest), MEZZ_E_STATE);
    kit_unregister(&callback);
    kit_close(&guest);
}

void group_stop(void)
{
    observed();
}
