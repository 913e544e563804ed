/* SPDX-License-Identifier: Apache-2.0 */
/* What a callback handler finds: registers, stack, and a frame with nothing in it but what the
 * registration asked for. */
#include "groups.h"
#include "kit.h"

#define PATTERN 0xa5a5a5a5a5a5a5a5ULL

KIT_CODE_AFTER(frame_out, "movl $0x77, %ebp\n movl $0x91, %eax\n movl $0x610, %edx\n"
                          "outl %eax, %dx\n" KIT_AFTER(frame_out) "hlt");

static bool all_pattern(const void *from, const void *to)
{
    for (const uint64_t *word = from; word < (const uint64_t *)to; word++)
        if (*word != PATTERN)
            return false;
    return true;
}

static bool equal(const void *a, const void *b, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes / 8; i++)
        if (((const uint64_t *)a)[i] != ((const uint64_t *)b)[i])
            return false;
    return true;
}

static void open_and_register(struct kit_guest *guest, struct kit_callback *callback, uint64_t mask)
{
    kit_open(guest, KIT_LONG, frame_out);
    kit_callback_init(callback, guest, MEZZ_EXIT_IO);
    callback->registration.state_mask = mask;
    callback->action = MEZZ_ACTION_REFLECT;
    kit_fill(callback->frame, MEZZ_PAGE_SIZE / 8, PATTERN);
    kit_register(callback);
}

static void header(void)
{
    struct kit_guest guest;
    struct kit_callback callback;
    const struct mezz_callback_frame *frame;

    KIT_LABEL("header");
    open_and_register(&guest, &callback, 0);
    frame = callback.frame;
    CHECK_EQ("reflected", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("fired", callback.fired, 1);
    CHECK_EQ("callback", frame->callback, callback.number);
    CHECK_EQ("l2", frame->l2, guest.l2);
    CHECK_EQ("vcpu", frame->vcpu, guest.vcpu);
    CHECK_EQ("view", frame->view, 0);
    CHECK_EQ("time: 0 with DECIDE", frame->time, 0);
    CHECK_EQ("cookie", frame->cookie, kit_address(&callback));
    CHECK_EQ("state_mask", frame->state_mask, 0);
    CHECK_EQ("no records", frame->sync_count, 0);
    CHECK_EQ("none that wait", frame->sync_more, 0);
    CHECK("the exit is the reflected one",
          equal(&frame->exit, &guest.vmcs->exit, sizeof(frame->exit)));
    CHECK("records are not touched", all_pattern(frame->sync, callback.frame + 1));
    CHECK("the page behind the frame is not touched",
          all_pattern(callback.frame + 1, (uint8_t *)callback.frame + MEZZ_PAGE_SIZE - 8));
    CHECK_EQ("the answer's event is not touched", frame->entry_interruption_info,
             (uint32_t)PATTERN);
    kit_unregister(&callback);
    kit_close(&guest);
}

static void environment(void)
{
    struct kit_guest guest;
    struct kit_callback callback;

    KIT_LABEL("environment");
    open_and_register(&guest, &callback, 0);
    kit_enter(&guest);
    CHECK_EQ("RSI: reason", callback.reason, MEZZ_EXIT_IO);
    CHECK_EQ("RDX: qualification", callback.qualification, guest.vmcs->exit.qualification);
    CHECK_EQ("RCX: value", callback.write_value, 0x91);
    CHECK_EQ("RSP", callback.rsp, callback.registration.stack - 8);
    CHECK("interrupts are off", !(callback.rflags & KIT_IF));
    kit_unregister(&callback);
    kit_close(&guest);
}

/* The groups of the frame that are filled are those of the mask, with the state that a reflected
 * exit shows. */
static void state(uint64_t mask)
{
    static const char *const labels[] = {"no state",          "REGS",     "SYSTEM",
                                         "REGS and SYSTEM",   "EVENTS",   "REGS and EVENTS",
                                         "SYSTEM and EVENTS", "all state"};
    const uint64_t regs = MEZZ_GROUP_BIT(MEZZ_GROUP_REGS);
    const uint64_t system = MEZZ_GROUP_BIT(MEZZ_GROUP_SYSTEM);
    const uint64_t events = MEZZ_GROUP_BIT(MEZZ_GROUP_EVENTS);
    struct kit_guest guest;
    struct kit_callback callback;
    const struct mezz_callback_frame *f;
    const struct mezz_vmcs12 *vmcs;

    KIT_LABEL(labels[(mask & regs ? 1 : 0) + (mask & system ? 2 : 0) + (mask & events ? 4 : 0)]);
    open_and_register(&guest, &callback, mask);
    kit_enter(&guest);
    f = callback.frame;
    vmcs = guest.vmcs;
    CHECK_EQ("state_mask", f->state_mask, mask);
    CHECK("REGS", mask & regs ? equal(&f->regs, &vmcs->regs, sizeof(f->regs))
                              : all_pattern(&f->regs, &f->regs + 1));
    CHECK("SYSTEM", mask & system ? equal(&f->system, &vmcs->system, sizeof(f->system))
                                  : all_pattern(&f->system, &f->system + 1));
    CHECK("EVENTS", mask & events ? equal(&f->events, &vmcs->events, sizeof(f->events))
                                  : all_pattern(&f->events, &f->events + 1));
    kit_unregister(&callback);
    kit_close(&guest);
}

static void retired_registers(void)
{
    struct kit_guest guest;
    struct kit_callback callback;

    KIT_LABEL("registers of an OUT");
    open_and_register(&guest, &callback, MEZZ_GROUP_BIT(MEZZ_GROUP_REGS));
    kit_enter(&guest);
    CHECK_EQ("guest_rip is behind it", callback.frame->regs.guest_rip,
             kit_address(frame_out_after));
    CHECK_EQ("RBP", callback.frame->regs.gpr[MEZZ_RBP], 0x77);
    CHECK_EQ("RAX", callback.frame->regs.gpr[MEZZ_RAX], 0x91);
    CHECK_EQ("RSP", callback.frame->regs.gpr[MEZZ_RSP], kit_address(kit_l2_stack));
    kit_unregister(&callback);
    kit_close(&guest);
}

/* The root writes the frame and reads from it nothing but the answer. */
static void frame_is_not_trusted(void)
{
    struct kit_guest guest;
    struct kit_callback callback;
    struct mezz_callback_counters counters;

    KIT_LABEL("a frame full of rubbish");
    open_and_register(&guest, &callback, MEZZ_STATE_MASK_ALLOWED);
    callback.action = MEZZ_ACTION_RESUME;
    CHECK_EQ("goes on", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("RAX is L2's", guest.vmcs->regs.gpr[MEZZ_RAX], 0x91);
    kit_counters(&callback, &counters);
    CHECK_EQ("fired", counters.fired, 1);
    CHECK_EQ("no refusal", counters.refused_returns, 0);
    kit_unregister(&callback);
    kit_close(&guest);
}

void group_frame(void)
{
    header();
    environment();
    for (uint64_t i = 0; i < 8; i++)
        state((i & 1 ? MEZZ_GROUP_BIT(MEZZ_GROUP_REGS) : 0) |
              (i & 2 ? MEZZ_GROUP_BIT(MEZZ_GROUP_SYSTEM) : 0) |
              (i & 4 ? MEZZ_GROUP_BIT(MEZZ_GROUP_EVENTS) : 0));
    retired_registers();
    frame_is_not_trusted();
}
