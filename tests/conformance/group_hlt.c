/* SPDX-License-Identifier: Apache-2.0 */
/* HLT, with and without HLT exiting, and the activity state. */
#include "groups.h"
#include "kit.h"

#define EXTERNAL(vector) (MEZZ_EVENT_VALID | MEZZ_EVENT_EXTERNAL | (vector))

KIT_CODE_AFTER(hlt_code, "hlt\n" KIT_AFTER(hlt_code) "outb %al, $0x61\n hlt");

static void exiting(void)
{
    struct kit_guest guest;

    KIT_LABEL("HLT exiting");
    kit_open(&guest, KIT_LONG, hlt_code);
    CHECK_EQ("exit", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("qualification", guest.vmcs->exit.qualification, 0);
    CHECK_EQ("flags", guest.vmcs->exit.flags, MEZZ_EXIT_RETIRED);
    CHECK_EQ("guest_rip", guest.vmcs->regs.guest_rip, kit_address(hlt_code_after));
    CHECK_EQ("activity state", guest.vmcs->events.activity_state, 0);
    CHECK_EQ("entered again, it goes on", kit_exit(&guest), MEZZ_EXIT_IO);
    kit_close(&guest);
}

static void not_exiting(void)
{
    struct kit_guest guest;

    KIT_LABEL("no HLT exiting");
    kit_open(&guest, KIT_LONG, hlt_code);
    guest.vmcs->controls.cpu_based = MEZZ_CPU_UNCONDITIONAL_IO_EXITING;
    guest.vmcs->regs.guest_rflags = KIT_RFLAGS | KIT_IF;
    kit_use_timer(&guest, 3000);
    CHECK_EQ("the time ends it", kit_exit(&guest), MEZZ_EXIT_PREEMPTION_TIMER);
    /* On a slow machine the time may be over before L2 gets there. */
    while (guest.vmcs->events.activity_state == 0 && kit_exit(&guest) == MEZZ_EXIT_PREEMPTION_TIMER)
        ;
    CHECK_EQ("activity state", guest.vmcs->events.activity_state, 1);
    CHECK_EQ("guest_rip", guest.vmcs->regs.guest_rip, kit_address(hlt_code_after));
    CHECK_EQ("entered again, it still waits", kit_exit(&guest), MEZZ_EXIT_PREEMPTION_TIMER);
    guest.vmcs->events.entry_interruption_info = EXTERNAL(0x24);
    kit_wrote(&guest, MEZZ_GROUP_BIT(MEZZ_GROUP_EVENTS));
    CHECK_EQ("an interrupt wakes it", kit_exit_past_timer(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("its handler runs", guest.vmcs->exit.qualification >> MEZZ_IO_PORT_SHIFT,
             KIT_L2_VECTOR_PORT);
    CHECK_EQ("vector", guest.vmcs->regs.gpr[MEZZ_RBX], 0x24);
    CHECK_EQ("activity state", guest.vmcs->events.activity_state, 0);
    CHECK_EQ("then the code behind HLT", kit_exit_past_timer(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("its port", guest.vmcs->exit.qualification >> MEZZ_IO_PORT_SHIFT, 0x61);
    kit_close(&guest);
}

static void entered_halted(void)
{
    struct kit_guest guest;

    KIT_LABEL("entered in activity state HLT");
    kit_open(&guest, KIT_LONG, hlt_code);
    guest.vmcs->events.activity_state = 1;
    kit_use_timer(&guest, 2000);
    CHECK_EQ("it waits", kit_exit(&guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("nothing ran", guest.vmcs->regs.guest_rip, kit_address(hlt_code));
    guest.vmcs->events.activity_state = 0;
    kit_wrote(&guest, MEZZ_GROUP_BIT(MEZZ_GROUP_EVENTS));
    kit_use_timer(&guest, 1000000);
    CHECK_EQ("active, it runs", kit_exit(&guest), MEZZ_EXIT_HLT);
    kit_close(&guest);
}

void group_hlt(void)
{
    exiting();
    not_exiting();
    entered_halted();
}
