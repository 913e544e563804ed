/* SPDX-License-Identifier: Apache-2.0 */
/* exits=callback: the guest's UART without a return to L1. */
#include "mezz/callback.h"
#include "l1.h"
#include "layout.h"
#include "lib/machine.h"
#include "lib/say.h"
#include "mezz/guest.h"
#include "personality.h"

/* Runs between L1's call of ENTER and its return, with the arguments that callback.h lists. */
static _Noreturn void uart_exit(struct mezz_callback_frame *frame, uint64_t reason,
                                uint64_t qualification, uint64_t value, struct l2 *l2)
{
    uint16_t offset = (uint16_t)(qualification >> MEZZ_IO_PORT_SHIFT) & 7;

    if (qualification & MEZZ_IO_IN)
        value = uart_read(&l2->uart, offset);
    else
        uart_write(&l2->uart, offset, (uint8_t)value);
    mezz_call(MEZZ_CALL_CALLBACK_RETURN, MEZZ_ACTION_RESUME, value, 0);

    say("guest %s: the root refused the return from callback %u of exit reason %lu", l2->name,
        frame->callback, reason);
    stop(L1_STATUS_REFUSED);
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

const char *callback_attach(struct l1 *l1, struct l2 *l2, int64_t *error)
{
    struct mezz_callback_registration registration;
    uint64_t frame = arena_take(&l1->arena, 2 * MEZZ_PAGE_SIZE, MEZZ_PAGE_SIZE);

    if (!frame)
        return "L1 has no memory left";
    copy_words(&registration, &uart_registration, sizeof(registration));
    registration.l2 = l2->number;
    registration.handler = (uint64_t)uart_exit;
    registration.frame = frame;
    registration.stack = frame + 2 * MEZZ_PAGE_SIZE;
    registration.cookie = address_of(l2);
    *error = mezz_call(MEZZ_CALL_CALLBACK_REGISTER, address_of(&registration), 0, 0);
    return *error < 0 ? "CALLBACK_REGISTER" : NULL;
}
