/* SPDX-License-Identifier: Apache-2.0 */
/* Events for L2: by the VM-entry interruption field and by a handler's action. */
#include "groups.h"
#include "kit.h"

#define EXCEPTION(vector) (MEZZ_EVENT_VALID | MEZZ_EVENT_EXCEPTION | (vector))
#define WITH_CODE(vector) (EXCEPTION(vector) | MEZZ_EVENT_DELIVER_CODE)
#define EXTERNAL(vector)  (MEZZ_EVENT_VALID | MEZZ_EVENT_EXTERNAL | (vector))
#define NMI               (MEZZ_EVENT_VALID | MEZZ_EVENT_NMI | 2)

KIT_CODE_AFTER(inject_here, "inb $0x61, %al\n" KIT_AFTER(inject_here) "movl $0x99, %ebp\n hlt");
KIT_CODE_AFTER(inject_halt, "hlt\n" KIT_AFTER(inject_halt) "movl $0x98, %ebp\n hlt");

static const struct event {
    const char *label;
    uint32_t info;
    uint32_t code;
    uint64_t rflags;
    uint64_t top; /* of L2's stack in its handler; 0: the interrupted RIP */
} events[] = {
    {"exception without code", EXCEPTION(6), 0, KIT_RFLAGS, 0},
    {"exception with code", WITH_CODE(13), 0x1238, KIT_RFLAGS, 0x1238},
    {"page fault", WITH_CODE(14), 7, KIT_RFLAGS, 7},
    {"double fault", WITH_CODE(8), 0, KIT_RFLAGS, 0},
    {"external interrupt", EXTERNAL(0x31), 0, KIT_RFLAGS | KIT_IF, 0},
    {"lowest external interrupt", EXTERNAL(0x20), 0, KIT_RFLAGS | KIT_IF, 0},
    {"NMI", NMI, 0, KIT_RFLAGS, 0},
};

/* L2's handler tells by an OUT what it got, and goes back. */
static void delivered(const struct kit_guest *guest, const struct event *event, const char *rip)
{
    const struct mezz_vmcs12_regs *regs = &guest->vmcs->regs;
    bool coded = event->info & MEZZ_EVENT_DELIVER_CODE;
    const uint64_t *frame = kit_at(regs->gpr[MEZZ_RSI]);
    uint64_t top = coded ? event->top : kit_address(rip);

    CHECK_EQ("L2's handler runs", guest->vmcs->exit.reason, MEZZ_EXIT_IO);
    CHECK_EQ("its port", guest->vmcs->exit.qualification >> MEZZ_IO_PORT_SHIFT, KIT_L2_VECTOR_PORT);
    CHECK_EQ("vector", regs->gpr[MEZZ_RBX], event->info & MEZZ_EVENT_VECTOR_MASK);
    if (coded) {
        CHECK_EQ("error code", regs->gpr[MEZZ_RCX], top);
        CHECK_EQ("the interrupted RIP", frame[0], kit_address(rip));
    } else {
        CHECK_EQ("no other error code", regs->gpr[MEZZ_RCX], 0);
        CHECK_EQ("the interrupted RIP", frame[0], kit_address(rip));
    }
    CHECK_EQ("the interrupted RFLAGS", frame[2] & (KIT_IF | KIT_RFLAGS), event->rflags);
    CHECK_EQ("then the interrupted code", kit_exit(guest), MEZZ_EXIT_HLT);
}

static void by_entry(const struct event *event)
{
    struct kit_guest guest;

    KIT_LABEL(event->label);
    kit_open(&guest, KIT_LONG, inject_halt);
    guest.vmcs->regs.guest_rflags = event->rflags;
    guest.vmcs->regs.guest_rip = kit_address(inject_halt_after);
    guest.vmcs->events.entry_interruption_info = event->info;
    guest.vmcs->events.entry_exception_error_code = event->code;
    kit_enter(&guest);
    CHECK("the valid bit is cleared",
          !(guest.vmcs->events.entry_interruption_info & MEZZ_EVENT_VALID));
    delivered(&guest, event, inject_halt_after);
    CHECK_EQ("which ran", guest.vmcs->regs.gpr[MEZZ_RBP], 0x98);
    kit_close(&guest);
}

static void set_event(struct kit_callback *callback)
{
    callback->frame->entry_interruption_info = (uint32_t)callback->value;
    callback->frame->entry_exception_error_code = (uint32_t)(callback->value >> 32);
    callback->frame->regs.guest_rflags = (uint64_t)callback->result;
}

static void by_action(const struct event *event)
{
    struct kit_guest guest;
    struct kit_callback callback;

    KIT_LABEL(event->label);
    kit_open(&guest, KIT_LONG, inject_here);
    guest.vmcs->regs.guest_rflags = event->rflags;
    kit_callback_init(&callback, &guest, MEZZ_EXIT_IO);
    kit_condition(&callback, MEZZ_FIELD_PORT, MEZZ_OP_EQ, 0x61, 0);
    callback.action = MEZZ_ACTION_INJECT;
    callback.value = (uint64_t)event->code << 32 | event->info;
    callback.result = (int64_t)event->rflags;
    callback.hook = set_event;
    kit_register(&callback);
    kit_enter(&guest);
    delivered(&guest, event, inject_here_after);
    CHECK_EQ("which ran", guest.vmcs->regs.gpr[MEZZ_RBP], 0x99);
    kit_unregister(&callback);
    kit_close(&guest);
}

/* An event in a group that L1 left clean is not injected; a HLT is ended by one that is. */
static void wakes(void)
{
    struct kit_guest guest;

    KIT_LABEL("an event for a halted L2");
    kit_open(&guest, KIT_LONG, inject_halt);
    guest.vmcs->regs.guest_rflags = KIT_RFLAGS | KIT_IF;
    CHECK_EQ("HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    guest.vmcs->events.activity_state = 1;
    guest.vmcs->events.entry_interruption_info = EXTERNAL(0x30);
    kit_wrote(&guest, MEZZ_GROUP_BIT(MEZZ_GROUP_EVENTS));
    CHECK_EQ("its handler runs", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("vector", guest.vmcs->regs.gpr[MEZZ_RBX], 0x30);
    CHECK_EQ("it is active", guest.vmcs->events.activity_state, 0);
    CHECK_EQ("then the second HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    guest.vmcs->events.entry_interruption_info = EXTERNAL(0x30);
    guest.vmcs->regs.guest_rip = kit_address(inject_halt);
    kit_wrote(&guest, MEZZ_GROUP_BIT(MEZZ_GROUP_REGS));
    CHECK_EQ("a clean group injects nothing", kit_exit(&guest), MEZZ_EXIT_HLT);
    kit_close(&guest);
}

static void refused_events(void)
{
    static const struct {
        const char *label;
        uint64_t rflags;
        uint32_t info;
        uint32_t code;
    } cases[] = {
        {"not valid", KIT_RFLAGS, MEZZ_EVENT_EXCEPTION | 6, 0},
        {"reserved bits", KIT_RFLAGS, EXCEPTION(6) | 1U << 12, 0},
        {"type 1", KIT_RFLAGS, MEZZ_EVENT_VALID | 1U << MEZZ_EVENT_TYPE_SHIFT, 0},
        {"software interrupt", KIT_RFLAGS, MEZZ_EVENT_VALID | 4U << MEZZ_EVENT_TYPE_SHIFT | 32, 0},
        {"NMI of another vector", KIT_RFLAGS, MEZZ_EVENT_VALID | MEZZ_EVENT_NMI | 3, 0},
        {"exception 32", KIT_RFLAGS, EXCEPTION(32), 0},
        {"exception 2", KIT_RFLAGS, EXCEPTION(2), 0},
        {"#GP without its code", KIT_RFLAGS, EXCEPTION(13), 0},
        {"#UD with a code", KIT_RFLAGS, WITH_CODE(6), 0},
        {"a code of 17 bits", KIT_RFLAGS, WITH_CODE(13), 0x10000},
        {"an interrupt with a code", KIT_RFLAGS | KIT_IF, EXTERNAL(0x31) | MEZZ_EVENT_DELIVER_CODE,
         0},
        {"an interrupt while L2 takes none", KIT_RFLAGS, EXTERNAL(0x31), 0},
    };

    for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kit_guest guest;
        struct kit_callback callback;

        KIT_LABEL(cases[i].label);
        kit_open(&guest, KIT_LONG, inject_here);
        guest.vmcs->regs.guest_rflags = cases[i].rflags;
        kit_callback_init(&callback, &guest, MEZZ_EXIT_IO);
        callback.action = MEZZ_ACTION_INJECT;
        callback.value = (uint64_t)cases[i].code << 32 | cases[i].info;
        callback.result = (int64_t)cases[i].rflags;
        callback.hook = set_event;
        kit_register(&callback);
        CHECK_EQ("reflected instead", kit_exit(&guest), MEZZ_EXIT_IO);
        CHECK_ERROR("the handler's error", callback.refused, MEZZ_E_EVENT);
        kit_unregister(&callback);
        kit_close(&guest);
    }
}

void group_inject(void)
{
    for (unsigned int i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        by_entry(&events[i]);
    for (unsigned int i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        by_action(&events[i]);
    wakes();
    refused_events();
}
