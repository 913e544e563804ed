/* SPDX-License-Identifier: Apache-2.0 */
/* The actions that end a handler, and answers that the root refuses. group_inject.c has events. */
#include "groups.h"
#include "kit.h"

KIT_CODE(action_in, "inl $0x61, %eax\n hlt");
KIT_CODE(action_out, "movl $1, %eax\n outl %eax, $0x61\n outl %eax, $0x62\n hlt");
KIT_CODE(action_read, "movl $0x20002000, %ebx\n movq (%rbx), %rax\n hlt");
KIT_CODE(action_rdmsr, "movl $0x12345, %ecx\n rdmsr\n hlt");
KIT_CODE(action_wrmsr, "movl $0x12345, %ecx\n wrmsr\n hlt");
KIT_CODE_AFTER(action_other, "movl $0x5a5a, %esi\n hlt\n" KIT_AFTER(action_other));

static const uint64_t value = 0x1122334455667788;

static void open_with(struct kit_guest *guest, struct kit_callback *callback, const char *code,
                      enum mezz_exit_reason reason, enum mezz_callback_action action)
{
    kit_open(guest, KIT_LONG, code);
    kit_callback_init(callback, guest, reason);
    callback->action = action;
    callback->value = value;
    kit_register(callback);
}

static void close_with(const struct kit_guest *guest, const struct kit_callback *callback)
{
    kit_unregister(callback);
    kit_close(guest);
}

static void resume_values(void)
{
    struct kit_guest guest;
    struct kit_callback callback;

    KIT_LABEL("RESUME");
    open_with(&guest, &callback, action_in, MEZZ_EXIT_IO, MEZZ_ACTION_RESUME);
    CHECK_EQ("IN: then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("IN: RAX", guest.vmcs->regs.gpr[MEZZ_RAX], 0x55667788);
    close_with(&guest, &callback);
    open_with(&guest, &callback, action_out, MEZZ_EXIT_IO, MEZZ_ACTION_RESUME);
    CHECK_EQ("OUT: then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("OUT: RAX is kept", guest.vmcs->regs.gpr[MEZZ_RAX], 1);
    CHECK_EQ("OUT: two of them", callback.fired, 2);
    CHECK_EQ("OUT: count of exits", guest.vmcs->exit.count, 3);
    close_with(&guest, &callback);
    open_with(&guest, &callback, action_read, MEZZ_EXIT_EPT_VIOLATION, MEZZ_ACTION_RESUME);
    CHECK_EQ("read of memory: then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("read of memory: RAX", guest.vmcs->regs.gpr[MEZZ_RAX], value);
    close_with(&guest, &callback);
    open_with(&guest, &callback, action_rdmsr, MEZZ_EXIT_RDMSR, MEZZ_ACTION_RESUME);
    CHECK_EQ("RDMSR: then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("RDMSR: RAX", guest.vmcs->regs.gpr[MEZZ_RAX], 0x55667788);
    CHECK_EQ("RDMSR: RDX", guest.vmcs->regs.gpr[MEZZ_RDX], 0x11223344);
    close_with(&guest, &callback);
    open_with(&guest, &callback, action_wrmsr, MEZZ_EXIT_WRMSR, MEZZ_ACTION_RESUME);
    CHECK_EQ("WRMSR: then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    close_with(&guest, &callback);
}

/* Behind actions that do not let L2 run on. */
static void faults_refused(void)
{
    static const struct {
        const char *label;
        enum mezz_callback_action action;
    } cases[] = {{"REFLECT with FAULT", MEZZ_ACTION_REFLECT},
                 {"STOP_L2 with FAULT", MEZZ_ACTION_STOP_L2},
                 {"NEXT with FAULT", MEZZ_ACTION_NEXT}};

    for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kit_guest guest;
        struct kit_callback callback;

        KIT_LABEL(cases[i].label);
        open_with(&guest, &callback, action_rdmsr, MEZZ_EXIT_RDMSR, cases[i].action);
        callback.flags = MEZZ_RETURN_FAULT;
        CHECK_EQ("the handler goes on and reflects", kit_exit(&guest), MEZZ_EXIT_RDMSR);
        CHECK_ERROR("its error", callback.refused, MEZZ_E_ACTION);
        CHECK_EQ("L2 may be entered, and reads", kit_exit(&guest), MEZZ_EXIT_HLT);
        close_with(&guest, &callback);
    }
}

/* MEZZ_RETURN_FAULT: L2's #GP handler tells its vector and error code by an OUT. */
static void faults(void)
{
    static const struct {
        const char *label, *code;
        enum mezz_exit_reason reason;
    } cases[] = {{"RDMSR with FAULT", action_rdmsr, MEZZ_EXIT_RDMSR},
                 {"WRMSR with FAULT", action_wrmsr, MEZZ_EXIT_WRMSR}};

    for (unsigned int i = 0; i < 2; i++) {
        struct kit_guest guest;
        struct kit_callback callback;

        KIT_LABEL(cases[i].label);
        open_with(&guest, &callback, cases[i].code, cases[i].reason, MEZZ_ACTION_RESUME);
        callback.flags = MEZZ_RETURN_FAULT;
        CHECK_EQ("L2's handler runs", kit_exit(&guest), MEZZ_EXIT_IO);
        CHECK_EQ("its vector", guest.vmcs->regs.gpr[MEZZ_RBX], 13);
        CHECK_EQ("its error code", guest.vmcs->regs.gpr[MEZZ_RCX], 0);
        close_with(&guest, &callback);
    }
}

static void reflect_and_stop(void)
{
    struct kit_guest guest, other;
    struct kit_callback callback;

    KIT_LABEL("REFLECT");
    open_with(&guest, &callback, action_in, MEZZ_EXIT_IO, MEZZ_ACTION_REFLECT);
    CHECK_EQ("ENTER returns", kit_exit(&guest), MEZZ_EXIT_IO);
    guest.vmcs->completion.value = 7;
    CHECK_EQ("L2 goes on", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("with the completion, not the handler's value", guest.vmcs->regs.gpr[MEZZ_RAX], 7);
    close_with(&guest, &callback);
    KIT_LABEL("STOP_L2");
    open_with(&guest, &callback, action_out, MEZZ_EXIT_IO, MEZZ_ACTION_STOP_L2);
    kit_open(&other, KIT_LONG, action_other);
    CHECK_EQ("ENTER returns", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_ERROR("L2 can not be entered again", kit_enter(&guest), MEZZ_E_STATE);
    CHECK_EQ("which the abort field says, too", guest.vmcs->abort, MEZZ_E_STATE);
    CHECK_ERROR("nor on its other vCPUs", kit_enter(&other), MEZZ_E_STATE);
    close_with(&guest, &callback);
    kit_close(&other);
    kit_l2_forget();
    kit_open(&guest, KIT_LONG, action_other);
    CHECK_EQ("another L2 of the same name can", kit_exit(&guest), MEZZ_EXIT_HLT);
    kit_close(&guest);
}

static void next(void)
{
    struct kit_callback callback, last;
    struct kit_guest guest;

    KIT_LABEL("NEXT");
    open_with(&guest, &callback, action_out, MEZZ_EXIT_IO, MEZZ_ACTION_NEXT);
    kit_callback_init(&last, &guest, MEZZ_EXIT_IO);
    kit_register(&last);
    CHECK_EQ("the next one answers", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("both were asked", callback.fired + last.fired, 4);
    kit_unregister(&last);
    close_with(&guest, &callback);
    open_with(&guest, &callback, action_in, MEZZ_EXIT_IO, MEZZ_ACTION_NEXT);
    callback.registration.mode = MEZZ_MODE_OBSERVE;
    callback.registration.replace = (uint32_t)callback.number;
    kit_register(&callback);
    guest.vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING;
    CHECK_EQ("after the last that observes L2 goes on", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("with the root's answer", guest.vmcs->regs.gpr[MEZZ_RAX], 0xffffffff);
    CHECK_EQ("it was asked", callback.fired, 1);
    close_with(&guest, &callback);
}

static void alter_registers(struct kit_callback *callback)
{
    callback->frame->regs.guest_rip = kit_address(action_other);
    callback->frame->regs.gpr[MEZZ_R12] = value;
}

static void load_registers(void)
{
    struct kit_guest guest;
    struct kit_callback callback;

    KIT_LABEL("LOAD_REGS");
    open_with(&guest, &callback, action_in, MEZZ_EXIT_IO, MEZZ_ACTION_RESUME);
    callback.flags = MEZZ_RETURN_LOAD_REGS;
    callback.hook = alter_registers;
    CHECK_EQ("L2 goes on elsewhere", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("there", guest.vmcs->regs.guest_rip, kit_address(action_other_after));
    CHECK_EQ("with the frame's registers", guest.vmcs->regs.gpr[MEZZ_R12], value);
    CHECK_EQ("the pending IN was ended before", guest.vmcs->regs.gpr[MEZZ_RAX], 0);
    CHECK_EQ("code there ran", guest.vmcs->regs.gpr[MEZZ_RSI], 0x5a5a);
    close_with(&guest, &callback);
    open_with(&guest, &callback, action_in, MEZZ_EXIT_IO, MEZZ_ACTION_RESUME);
    callback.hook = alter_registers;
    CHECK_EQ("without the flag", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("nothing is loaded", guest.vmcs->regs.gpr[MEZZ_R12], 0);
    close_with(&guest, &callback);
}

static void bad_rip(struct kit_callback *callback)
{
    callback->frame->regs.guest_rip = 1ULL << 63;
}

static void bad_rflags(struct kit_callback *callback)
{
    callback->frame->regs.guest_rflags = 0;
}

/* Answers that are refused: the handler gets the error and the root goes on as if it was not said.
 */
static const struct forgery {
    const char *name;
    enum mezz_callback_mode mode;
    uint64_t state_mask;
    uint64_t action;
    uint64_t flags;
    uint64_t value;
    void (*hook)(struct kit_callback *callback);
    enum mezz_error error;
} forgeries[] = {
#define REGS MEZZ_GROUP_BIT(MEZZ_GROUP_REGS)
    {"action 0", MEZZ_MODE_DECIDE, REGS, 0, 0, 0, NULL, MEZZ_E_ACTION},
    {"action past the last", MEZZ_MODE_DECIDE, REGS, MEZZ_ACTION_COUNT, 0, 0, NULL, MEZZ_E_ACTION},
    {"the largest action", MEZZ_MODE_DECIDE, REGS, UINT64_MAX, 0, 0, NULL, MEZZ_E_ACTION},
    {"RESUME with a bit above", MEZZ_MODE_DECIDE, REGS, 1ULL << 32 | MEZZ_ACTION_RESUME, 0, 0, NULL,
     MEZZ_E_ACTION},
    {"an unknown flag", MEZZ_MODE_DECIDE, REGS, MEZZ_ACTION_RESUME, 8, 0, NULL, MEZZ_E_ACTION},
    {"a flag of 64 bits", MEZZ_MODE_DECIDE, REGS, MEZZ_ACTION_RESUME, 1ULL << 63, 0, NULL,
     MEZZ_E_ACTION},
    {"FAULT of an I/O exit", MEZZ_MODE_DECIDE, REGS, MEZZ_ACTION_RESUME, MEZZ_RETURN_FAULT, 0, NULL,
     MEZZ_E_ACTION},
    {"LOAD_REGS without REGS", MEZZ_MODE_DECIDE, 0, MEZZ_ACTION_RESUME, MEZZ_RETURN_LOAD_REGS, 0,
     NULL, MEZZ_E_ACTION},
    {"LOAD_REGS with a bad RIP", MEZZ_MODE_DECIDE, REGS, MEZZ_ACTION_RESUME, MEZZ_RETURN_LOAD_REGS,
     0, bad_rip, MEZZ_E_ACTION},
    {"LOAD_REGS with bad RFLAGS", MEZZ_MODE_DECIDE, REGS, MEZZ_ACTION_RESUME, MEZZ_RETURN_LOAD_REGS,
     0, bad_rflags, MEZZ_E_ACTION},
    {"REFLECT with LOAD_REGS", MEZZ_MODE_DECIDE, REGS, MEZZ_ACTION_REFLECT, MEZZ_RETURN_LOAD_REGS,
     0, NULL, MEZZ_E_ACTION},
    {"STOP_L2 with LOAD_REGS", MEZZ_MODE_DECIDE, REGS, MEZZ_ACTION_STOP_L2, MEZZ_RETURN_LOAD_REGS,
     0, NULL, MEZZ_E_ACTION},
    {"NEXT with LOAD_REGS", MEZZ_MODE_DECIDE, REGS, MEZZ_ACTION_NEXT, MEZZ_RETURN_LOAD_REGS, 0,
     NULL, MEZZ_E_ACTION},
    {"REFLECT of what the root handled", MEZZ_MODE_OBSERVE, REGS, MEZZ_ACTION_REFLECT, 0, 0, NULL,
     MEZZ_E_ACTION},
#undef REGS
};

static void refused_answers(void)
{
    for (unsigned int i = 0; i < sizeof(forgeries) / sizeof(forgeries[0]); i++) {
        const struct forgery *forgery = &forgeries[i];
        bool observe = forgery->mode == MEZZ_MODE_OBSERVE;
        struct mezz_callback_counters counters;
        struct kit_callback callback;
        struct kit_guest guest;

        KIT_LABEL(forgery->name);
        kit_open(&guest, KIT_LONG, action_in);
        if (observe)
            guest.vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING;
        kit_callback_init(&callback, &guest, MEZZ_EXIT_IO);
        callback.registration.mode = forgery->mode;
        callback.registration.state_mask = forgery->state_mask;
        callback.action = forgery->action;
        callback.flags = forgery->flags;
        callback.value = forgery->value;
        callback.hook = forgery->hook;
        kit_register(&callback);
        CHECK_EQ("the handler goes on and answers well", kit_exit(&guest),
                 observe ? MEZZ_EXIT_HLT : MEZZ_EXIT_IO);
        CHECK_ERROR("its error", callback.refused, forgery->error);
        kit_counters(&callback, &counters);
        CHECK_EQ("counted", counters.refused_returns, observe ? 2 : 1);
        CHECK_EQ("RAX of L2 is as it was", guest.vmcs->regs.gpr[MEZZ_RAX],
                 observe ? 0xffffffff : 0);
        close_with(&guest, &callback);
    }
}

static void switch_view(void)
{
    struct kit_guest guest;
    struct kit_callback callback;
    uint32_t leaf[4];

    KIT_LABEL("SWITCH_VIEW");
    kit_cpuid(MEZZ_CPUID_INTERFACE, leaf);
    open_with(&guest, &callback, action_in, MEZZ_EXIT_IO, MEZZ_ACTION_SWITCH_VIEW);
    callback.value = MEZZ_MAX_VIEWS;
    CHECK_EQ("the handler goes on", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_ERROR("no such view, or no views", callback.refused,
                leaf[1] & MEZZ_FEATURE_VIEWS ? MEZZ_E_VIEW : MEZZ_E_UNSUPPORTED);
    close_with(&guest, &callback);
}

void group_actions(void)
{
    resume_values();
    faults();
    faults_refused();
    reflect_and_stop();
    next();
    load_registers();
    refused_answers();
    switch_view();
}
