/* SPDX-License-Identifier: Apache-2.0 */
/* The empty handler and its conditions. */
#include "mezz/callback.h"
#include "bench_l1.h"
#include "layout.h"
#include "mezz/exit.h"
#include "mezz/guest.h"

/* The frame first, the stack above it. */
static uint8_t page[BENCH_MAX_L2][MEZZ_PAGE_SIZE] __attribute__((aligned(MEZZ_PAGE_SIZE)));

/* RDX, the flags, must be zero; RSI, the value, is for reads only. */
static _Noreturn void handler(void)
{
    __asm__ volatile("outb %%al, %[port]"
                     :
                     : [port] "i"(MEZZ_CALL_PORT), "a"(MEZZ_CALL_CALLBACK_RETURN),
                       "D"(MEZZ_ACTION_RESUME), "d"(0)
                     : "memory");
    __builtin_unreachable();
}

/* Goes on behind the call when it is asked again. */
static _Noreturn void handler_that_stays(void)
{
    __asm__ volatile("1: outb %%al, %[port]\n\tjmp 1b"
                     :
                     : [port] "i"(MEZZ_CALL_PORT), "a"(MEZZ_CALL_CALLBACK_RETURN),
                       "D"(MEZZ_ACTION_RESUME), "d"(MEZZ_RETURN_STAY)
                     : "memory");
    __builtin_unreachable();
}

/* All of them hold for the exits of these L2s. RIP and TIME are left out: they cost a KVM_RUN and a
 * clock. */
static const struct mezz_condition holding[MEZZ_MAX_CONDITIONS] = {
    {.field = MEZZ_FIELD_SIZE, .op = MEZZ_OP_EQ, .a = 1},
    {.field = MEZZ_FIELD_DIRECTION, .op = MEZZ_OP_EQ, .a = 0},
    {.field = MEZZ_FIELD_VALUE, .op = MEZZ_OP_MASK, .a = 0xff, .b = 0x5a},
    {.field = MEZZ_FIELD_CPL, .op = MEZZ_OP_LT, .a = 1},
    {.field = MEZZ_FIELD_CR3, .op = MEZZ_OP_NE, .a = 0},
    {.field = MEZZ_FIELD_VIEW, .op = MEZZ_OP_EQ, .a = 0},
    {.field = MEZZ_FIELD_QUALIFICATION, .op = MEZZ_OP_IN_RANGE, .a = 0, .b = UINT64_MAX},
    {.field = MEZZ_FIELD_COUNT, .op = MEZZ_OP_GE, .a = 1},
};

static const struct mezz_condition failing = {
    .field = MEZZ_FIELD_VALUE, .op = MEZZ_OP_EQ, .a = 0xa5};
static const struct mezz_condition first_port = {
    .field = MEZZ_FIELD_PORT, .op = MEZZ_OP_EQ, .a = INTERCEPTED_PORT};

void callback_add(uint64_t l2, unsigned int index, const struct bench_setup *setup)
{
    struct mezz_callback_registration registration = {
        .l2 = (uint32_t)l2,
        .reason = setup->memory ? MEZZ_EXIT_EPT_VIOLATION : MEZZ_EXIT_IO,
        .mode = setup->path == PATH_FAILED ? MEZZ_MODE_OBSERVE : MEZZ_MODE_DECIDE,
        .handler = (uint64_t)(setup->stays ? handler_that_stays : handler),
        .stack = (uint64_t)page[index + 1],
        .frame = (uint64_t)page[index],
        .condition_count = setup->conditions,
    };

    for (unsigned int i = 0; i < setup->conditions; i++)
        registration.condition[i] = holding[i];
    if (setup->path == PATH_FAILED)
        registration.condition[setup->conditions - 1] = failing;
    if (setup->path == PATH_TURNS)
        registration.condition[0] = first_port;
    if (mezz_call(MEZZ_CALL_CALLBACK_REGISTER, (uint64_t)&registration, 0, 0) < 0)
        give_up("CALLBACK_REGISTER was refused\n");
}
