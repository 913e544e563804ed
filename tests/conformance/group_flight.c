/* SPDX-License-Identifier: Apache-2.0 */
/* Calls made while a handler runs, and returns made without one. */
#include "groups.h"
#include "kit.h"

KIT_CODE_AFTER(flight_out, "outb %al, $0x61\n" KIT_AFTER(flight_out) "movl $0x31, %edi\n hlt");

/* Calls that a handler must not make: RDI, RSI and RDX would be right outside of one. */
struct forbidden {
    const char *name;
    enum mezz_call call;
    uint64_t rdi, rsi, rdx;
};

static struct mezz_l2_parameters parameters = {.name = "flight-new"};

static void try_forbidden(struct kit_callback *callback)
{
    const struct kit_guest *guest = callback->guest;
    const struct forbidden tries[] = {
        {"ENTER of the same vCPU", MEZZ_CALL_ENTER, guest->vcpu, 0, 0},
        {"ENTER of another vCPU", MEZZ_CALL_ENTER, guest->vcpu + 1, 0, 0},
        {"UNREGISTER", MEZZ_CALL_CALLBACK_UNREGISTER, (uint64_t)callback->number, 0, 0},
        {"REGISTER", MEZZ_CALL_CALLBACK_REGISTER, kit_address(&callback->registration), 0, 0},
        {"COUNTERS", MEZZ_CALL_CALLBACK_COUNTERS, (uint64_t)callback->number,
         kit_address(callback->frame), 0},
        {"VCPU_DESTROY", MEZZ_CALL_VCPU_DESTROY, guest->vcpu, 0, 0},
        {"L2_DESTROY", MEZZ_CALL_L2_DESTROY, guest->l2, 0, 0},
        {"L2_CREATE", MEZZ_CALL_L2_CREATE, kit_address(&parameters), 0, 0},
        {"VCPU_CREATE", MEZZ_CALL_VCPU_CREATE, guest->l2, kit_address(guest->vmcs), 0},
        {"INVEPT", MEZZ_CALL_INVEPT, guest->l2, 2, 0},
        {"EPTP_LIST", MEZZ_CALL_EPTP_LIST, guest->l2, kit_address(guest->vmcs), 1},
        {"EXIT", MEZZ_CALL_EXIT, 0, 0, 0},
        {"FRAME_POOL", MEZZ_CALL_FRAME_POOL, guest->l2, kit_address(guest->vmcs), 1},
        {"L1_VCPU_START", MEZZ_CALL_L1_VCPU_START, 0, 0, 0},
    };

    for (unsigned int i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
        CHECK_ERROR(tries[i].name,
                    mezz_call(tries[i].call, tries[i].rdi, tries[i].rsi, tries[i].rdx),
                    MEZZ_E_STATE);
    CHECK_ERROR("an unknown call", mezz_call(255, 0, 0, 0), MEZZ_E_CALL);
}

static void try_allowed(struct kit_callback *callback)
{
    const struct kit_guest *guest = callback->guest;
    struct mezz_result rip;

    CHECK("TIME", kit_time() > 0);
    CHECK_EQ("CONSOLE", mezz_call(MEZZ_CALL_CONSOLE, 0, kit_address(callback), 0), 0);
    rip = mezz_call_value(MEZZ_CALL_VMREAD, guest->vcpu, MEZZ_VMCS12_FIELD(controls.cpu_based), 0);
    CHECK_EQ("VMREAD", rip.status, 0);
    CHECK_EQ("its value", rip.value, guest->vmcs->controls.cpu_based);
    CHECK_EQ(
        "VMWRITE",
        mezz_call(MEZZ_CALL_VMWRITE, guest->vcpu, MEZZ_VMCS12_FIELD(msrs.kernel_gs_base), 0x99), 0);
}

static void inside(const char *label, void (*hook)(struct kit_callback *callback))
{
    struct kit_guest guest, other;
    struct kit_callback callback;
    struct mezz_callback_counters counters;

    KIT_LABEL(label);
    kit_open(&guest, KIT_LONG, flight_out);
    kit_open(&other, KIT_LONG, flight_out);
    kit_callback_init(&callback, &guest, MEZZ_EXIT_IO);
    callback.hook = hook;
    kit_register(&callback);
    CHECK_EQ("L2 goes on afterwards", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("by its own code", guest.vmcs->regs.gpr[MEZZ_RDI], 0x31);
    kit_counters(&callback, &counters);
    CHECK_EQ("the handler ran once", counters.fired, 1);
    CHECK_EQ("other refusals are none of a return", counters.refused_returns, 0);
    kit_unregister(&callback);
    kit_close(&guest);
    kit_close(&other);
}

static void twice(void)
{
    struct kit_guest guest;
    struct kit_callback callback;

    KIT_LABEL("a second return");
    kit_open(&guest, KIT_LONG, flight_out);
    kit_callback_init(&callback, &guest, MEZZ_EXIT_IO);
    callback.action = MEZZ_ACTION_REFLECT;
    kit_register(&callback);
    CHECK_EQ("the first one reflects", kit_exit(&guest), MEZZ_EXIT_IO);
    for (uint64_t action = MEZZ_ACTION_RESUME; action < MEZZ_ACTION_COUNT; action++)
        CHECK_ERROR("an action behind it", mezz_call(MEZZ_CALL_CALLBACK_RETURN, action, 0, 0),
                    MEZZ_E_STATE);
    CHECK_EQ("L2 was not run", guest.vmcs->regs.guest_rip, kit_address(flight_out_after));
    CHECK_EQ("and goes on", kit_exit(&guest), MEZZ_EXIT_HLT);
    kit_unregister(&callback);
    kit_close(&guest);
}

/* What L1 alters in its VMCS12 and its registration while the handler runs has no effect on the
 * L2 that runs on. */
static void alter_pages(struct kit_callback *callback)
{
    struct mezz_vmcs12 *vmcs = callback->guest->vmcs;

    vmcs->clean = 0;
    vmcs->revision = 0;
    vmcs->regs.guest_rip = 0x1234;
    vmcs->controls.cpu_based = UINT32_MAX;
    callback->registration.handler = 0;
    callback->registration.stack = 0;
}

static void pages_are_copied(void)
{
    struct kit_guest guest;
    struct kit_callback callback;

    KIT_LABEL("pages altered in a handler");
    kit_open(&guest, KIT_LONG, flight_out);
    kit_callback_init(&callback, &guest, MEZZ_EXIT_IO);
    callback.hook = alter_pages;
    kit_register(&callback);
    CHECK_EQ("L2 goes on", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("by its own code", guest.vmcs->regs.gpr[MEZZ_RDI], 0x31);
    CHECK_ERROR("the next entry sees them", kit_enter(&guest), MEZZ_E_VMCS);
    kit_unregister(&callback);
    kit_close(&guest);
}

void group_flight(void)
{
    inside("in a handler", try_forbidden);
    inside("allowed in a handler", try_allowed);
    twice();
    pages_are_copied();
}
