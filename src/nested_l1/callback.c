/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exits=callback: the guest's UART without a return to L1. exits=observe: also hear of the exits
 * that the root handles by itself, and keep VMCS12 and EPT12 true to what it changed.
 *
 * Handlers run between L1's call of ENTER and its return, with the arguments that callback.h lists.
 */
#include <stddef.h>

#include "l1.h"
#include "layout.h"
#include "lib/machine.h"
#include "lib/say.h"
#include "mezz/callback.h"
#include "mezz/guest.h"
#include "personality.h"

static _Noreturn void end(const struct l2 *l2, const struct mezz_callback_frame *frame,
                          enum mezz_callback_action action, uint64_t value)
{
    mezz_call(MEZZ_CALL_CALLBACK_RETURN, action, value, 0);
    say("guest %s: the root refused the return from callback %u", l2->name, frame->callback);
    stop(L1_STATUS_REFUSED);
}

static _Noreturn void resume(const struct l2 *l2, const struct mezz_callback_frame *frame,
                             uint64_t value)
{
    end(l2, frame, MEZZ_ACTION_RESUME, value);
}

/* An interrupt is the scheduler's to inject. */
static _Noreturn void reflect(const struct l2 *l2, const struct mezz_callback_frame *frame)
{
    end(l2, frame, MEZZ_ACTION_REFLECT, 0);
}

/* At the end of each line of its console a guest that has two views goes into the other one. */
static bool turns_view(const struct l2 *l2, uint16_t offset, uint64_t qualification, uint64_t value)
{
    return l2->has_views && !offset && !(qualification & MEZZ_IO_IN) && (uint8_t)value == '\n';
}

static _Noreturn void turn_view(struct l2 *l2, const struct mezz_callback_frame *frame)
{
    l2->turns++;
    end(l2, frame, MEZZ_ACTION_SWITCH_VIEW, !l2->vmcs->ept.eptp_index);
}

static _Noreturn void uart_exit(struct mezz_callback_frame *frame, uint64_t reason,
                                uint64_t qualification, uint64_t value, struct l2 *l2)
{
    uint16_t offset = (uint16_t)(qualification >> MEZZ_IO_PORT_SHIFT) & 7;

    (void)reason;
    if (frame->sync_count)
        guest_synchronize(l2, frame->sync, frame->sync_count);
    if (uart_may_interrupt(&l2->uart, offset))
        reflect(l2, frame);
    if (qualification & MEZZ_IO_IN)
        value = uart_read(&l2->uart, offset) | ~0xffULL;
    else
        uart_write(&l2->uart, offset, (uint8_t)value);
    if (turns_view(l2, offset, qualification, value))
        turn_view(l2, frame);
    resume(l2, frame, value);
}

static _Noreturn void observed_exit(struct mezz_callback_frame *frame, uint64_t reason,
                                    uint64_t qualification, uint64_t value, struct l2 *l2)
{
    (void)reason;
    (void)qualification;
    l2->observed++;
    guest_synchronize(l2, frame->sync, frame->sync_count);
    resume(l2, frame, value);
}

/* The cookie's bit 0: it may happen. */
static _Noreturn void portion_exit(struct mezz_callback_frame *frame, uint64_t reason,
                                   uint64_t qualification, uint64_t value, uint64_t cookie)
{
    const bool allow = cookie & 1;
    const struct l2 *l2 = (const struct l2 *)(cookie & ~1ULL);

    (void)reason;
    (void)value;
    say("guest %s: portion %u, reason %u: %s", l2->name,
        (unsigned int)(qualification >> MEZZ_PORTION_ID_SHIFT),
        (unsigned int)(qualification & MEZZ_PORTION_REASON_MASK), allow ? "allowed" : "refused");
    resume(l2, frame, allow ? MEZZ_PORTION_ALLOW : 0);
}

static void say_guarded(const struct l2 *l2, uint64_t qualification, const char *what)
{
    say("guest %s: guarded function %u, event %u, verdict %u: %s", l2->name,
        (unsigned int)(qualification >> MEZZ_GUARD_FUNCTION_SHIFT),
        (unsigned int)(qualification & MEZZ_GUARD_REASON_MASK),
        (unsigned int)(qualification >> MEZZ_GUARD_VERDICT_SHIFT & 0xff), what);
}

static _Noreturn void guard_observed(struct mezz_callback_frame *frame, uint64_t reason,
                                     uint64_t qualification, uint64_t value, struct l2 *l2)
{
    (void)reason;
    guest_synchronize(l2, frame->sync, frame->sync_count);
    say_guarded(l2, qualification, "observed");
    resume(l2, frame, value);
}

/* The cookie's bit 0: it may happen. */
static _Noreturn void guard_asked(struct mezz_callback_frame *frame, uint64_t reason,
                                  uint64_t qualification, uint64_t value, uint64_t cookie)
{
    const bool allow = cookie & 1;
    struct l2 *l2 = (struct l2 *)(cookie & ~1ULL);

    (void)reason;
    (void)value;
    guest_synchronize(l2, frame->sync, frame->sync_count);
    say_guarded(l2, qualification, allow ? "allowed" : "refused");
    resume(l2, frame, allow ? MEZZ_GUARD_LET : 0);
}

static const struct mezz_callback_registration uart_registration = {
    .reason = MEZZ_EXIT_IO,
    .mode = MEZZ_MODE_DECIDE,
    .condition_count = 1,
    .condition = {{
        .field = MEZZ_FIELD_PORT,
        .op = MEZZ_OP_IN_RANGE,
        .a = MEZZ_PORT_UART,
        .b = MEZZ_PORT_UART + 7,
    }},
};

static const char *attach(struct l1 *l1, struct l2 *l2,
                          const struct mezz_callback_registration *template, uint64_t handler,
                          uint64_t cookie, int64_t *error)
{
    struct mezz_callback_registration registration;
    uint64_t frame = arena_take(&l1->arena, 2 * MEZZ_PAGE_SIZE, MEZZ_PAGE_SIZE);

    if (!frame)
        return "L1 has no memory left";
    copy_words(&registration, template, sizeof(registration));
    registration.l2 = l2->number;
    registration.handler = handler;
    registration.frame = frame;
    registration.stack = frame + 2 * MEZZ_PAGE_SIZE;
    registration.cookie = cookie;
    *error = mezz_call(MEZZ_CALL_CALLBACK_REGISTER, address_of(&registration), 0, 0);
    return *error < 0 ? "CALLBACK_REGISTER" : NULL;
}

const char *callback_attach(struct l1 *l1, struct l2 *l2, int64_t *error)
{
    return attach(l1, l2, &uart_registration, (uint64_t)uart_exit, address_of(l2), error);
}

const char *observe_attach(struct l1 *l1, struct l2 *l2, int64_t *error)
{
    static const uint32_t reasons[] = {MEZZ_EXIT_IO, MEZZ_EXIT_WRMSR, MEZZ_EXIT_EPT_VIOLATION};
    struct mezz_callback_registration template = {.mode = MEZZ_MODE_OBSERVE};
    const char *wrong = callback_attach(l1, l2, error);

    for (unsigned int i = 0; i < sizeof(reasons) / sizeof(reasons[0]) && !wrong; i++) {
        template.reason = reasons[i];
        wrong = attach(l1, l2, &template, (uint64_t)observed_exit, address_of(l2), error);
    }
    return wrong;
}

const char *portions_attach(struct l1 *l1, struct l2 *l2, bool allow, int64_t *error)
{
    static const struct mezz_callback_registration registration = {.reason = MEZZ_EXIT_PORTION,
                                                                   .mode = MEZZ_MODE_DECIDE};

    return attach(l1, l2, &registration, (uint64_t)portion_exit, address_of(l2) | allow, error);
}

const char *guard_attach(struct l1 *l1, struct l2 *l2, uint32_t how, int64_t *error)
{
    struct mezz_callback_registration template = {.reason = MEZZ_EXIT_GUARD,
                                                  .mode = MEZZ_MODE_OBSERVE};
    const char *wrong = attach(l1, l2, &template, (uint64_t)guard_observed, address_of(l2), error);

    if (wrong || how == CONFIG_GUARD_OBSERVE)
        return wrong;
    template.mode = MEZZ_MODE_DECIDE;
    template.condition_count = 1;
    template.condition[0] = (struct mezz_condition){.field = MEZZ_FIELD_QUALIFICATION,
                                                    .op = MEZZ_OP_MASK,
                                                    .a = MEZZ_GUARD_REASON_MASK,
                                                    .b = MEZZ_GUARD_ASKED};
    return attach(l1, l2, &template, (uint64_t)guard_asked,
                  address_of(l2) | (how == CONFIG_GUARD_ALLOW), error);
}
