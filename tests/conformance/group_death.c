/* SPDX-License-Identifier: Apache-2.0 */
/* An L2 that dies does not disturb another. */
#include "groups.h"
#include "kit.h"

KIT_CODE(death_ud, "ud2");
KIT_CODE(death_count, "incq 0x20000000\n outb %al, $0x61\n incq 0x20000000\n hlt");
KIT_CODE(death_emulation, "movl $0x20002000, %ebx\n fxsave (%rbx)\n hlt");

static void triple_fault(struct kit_guest *dying)
{
    KIT_LABEL("triple fault");
    dying->vmcs->system.idtr.limit = 0;
    CHECK_EQ("exit", kit_exit(dying), MEZZ_EXIT_TRIPLE_FAULT);
    CHECK_EQ("flags", dying->vmcs->exit.flags, 0);
    CHECK_EQ("qualification", dying->vmcs->exit.qualification, 0);
}

static void with_callback(struct kit_guest *dying)
{
    struct kit_callback callback;

    KIT_LABEL("triple fault with a callback");
    kit_callback_init(&callback, dying, MEZZ_EXIT_TRIPLE_FAULT);
    callback.registration.state_mask = 0;
    callback.action = MEZZ_ACTION_STOP_L2;
    kit_register(&callback);
    kit_start_state(dying->vmcs, KIT_LONG, death_ud);
    dying->vmcs->system.idtr.limit = 0;
    kit_wrote(dying, MEZZ_GROUPS_LOADED);
    CHECK_EQ("exit", kit_exit(dying), MEZZ_EXIT_TRIPLE_FAULT);
    CHECK_EQ("the handler was asked", callback.fired, 1);
    CHECK_ERROR("it stopped L2", kit_enter(dying), MEZZ_E_STATE);
}

static void emulation_failure(void)
{
    struct kit_guest guest;

    KIT_LABEL("an instruction that KVM cannot run");
    kit_open(&guest, KIT_LONG, death_emulation);
    CHECK_EQ("exit", kit_exit(&guest), MEZZ_EXIT_EMULATION_FAILURE);
    CHECK_EQ("flags", guest.vmcs->exit.flags, 0);
    CHECK_EQ("guest_rip is at it", guest.vmcs->regs.guest_rip, kit_address(death_emulation) + 5);
    kit_close(&guest);
}

void group_death(void)
{
    struct kit_guest living, dying;
    int64_t other = kit_l2_create("death-other");

    CHECK("a second L2", other > 0);
    kit_open(&living, KIT_LONG, death_count);
    kit_open_in(&dying, (uint32_t)other, KIT_LONG, death_ud);
    CHECK_EQ("the first one runs", kit_exit(&living), MEZZ_EXIT_IO);
    triple_fault(&dying);
    KIT_LABEL(NULL);
    CHECK_EQ("the first one's registers", living.vmcs->regs.guest_rip,
             kit_address(death_count) + 10);
    with_callback(&dying);
    KIT_LABEL(NULL);
    CHECK_EQ("the dead one is destroyed",
             mezz_call(MEZZ_CALL_L2_DESTROY, (uint64_t)other, MEZZ_L2_DIED, 0), 0);
    CHECK_EQ("the first one goes on", kit_exit(&living), MEZZ_EXIT_HLT);
    CHECK_EQ("in its own memory", living.data[0], 2);
    kit_close(&living);
    emulation_failure();
}
