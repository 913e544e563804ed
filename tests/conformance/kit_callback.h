/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KIT_CALLBACK_H
#define KIT_CALLBACK_H

/*
 * Callbacks for tests: one handler that notes how it was called, lets a hook look, and answers as
 * the test said. It is the cookie of its registration.
 */

#include "kit_guest.h"
#include "mezz/callback.h"

struct kit_callback {
    struct mezz_callback_registration registration;
    struct mezz_callback_frame *frame;
    int64_t number; /* what CALLBACK_REGISTER returned */

    /* The answer. A refused one is noted; the exit is then reflected, or resumed if that, too, is
     * refused. */
    uint64_t action;
    uint64_t value;
    uint64_t flags;
    void (*hook)(struct kit_callback *callback); /* in the handler, before the answer; or NULL */
    const struct kit_guest *guest;               /* for the hook */

    /* What happened. */
    unsigned int fired;
    int64_t refused; /* what CALLBACK_RETURN returned, if it did */
    int64_t result;  /* for the hook */
    uint64_t reason;
    uint64_t qualification;
    uint64_t write_value;
    uint64_t rsp;
    uint64_t rflags;
    unsigned int turn;     /* the how-manieth delivery of all it was */
    uint64_t *turn_number; /* shared by several callbacks; or NULL */
};

static _Noreturn __attribute__((used)) void kit_handler(struct mezz_callback_frame *frame,
                                                        uint64_t reason, uint64_t qualification,
                                                        uint64_t value,
                                                        struct kit_callback *callback)
{
    (void)frame;
    __asm__ volatile("pushfq\n\tpopq %0" : "=r"(callback->rflags));
    callback->rsp = kit_address(__builtin_frame_address(0));
    callback->reason = reason;
    callback->qualification = qualification;
    callback->write_value = value;
    callback->fired++;
    if (callback->turn_number != NULL)
        callback->turn = (unsigned int)++*callback->turn_number;
    if (callback->hook != NULL)
        callback->hook(callback);
    callback->refused =
        mezz_call(MEZZ_CALL_CALLBACK_RETURN, callback->action, callback->value, callback->flags);
    mezz_call(MEZZ_CALL_CALLBACK_RETURN, MEZZ_ACTION_REFLECT, 0, 0);
    mezz_call(MEZZ_CALL_CALLBACK_RETURN, MEZZ_ACTION_RESUME, 0, 0);
    for (;;)
        mezz_call(MEZZ_CALL_CALLBACK_RETURN, MEZZ_ACTION_STOP_L2, 0, 0);
}

/* A registration that the root takes: DECIDE, no conditions, all state; the answer is RESUME. */
static inline void kit_callback_init(struct kit_callback *callback, const struct kit_guest *guest,
                                     enum mezz_exit_reason reason)
{
    uint8_t *pages = kit_pages(2);

    *callback = (struct kit_callback){
        .registration =
            {
                .l2 = guest->l2,
                .reason = reason,
                .mode = MEZZ_MODE_DECIDE,
                .handler = (uint64_t)kit_handler,
                .stack = kit_address(pages) + 2 * MEZZ_PAGE_SIZE,
                .frame = kit_address(pages),
                .state_mask = MEZZ_STATE_MASK_ALLOWED,
                .cookie = kit_address(callback),
            },
        .frame = kit_at(kit_address(pages)),
        .action = MEZZ_ACTION_RESUME,
        .guest = guest,
    };
}

static inline int64_t kit_register(struct kit_callback *callback)
{
    callback->number =
        mezz_call(MEZZ_CALL_CALLBACK_REGISTER, kit_address(&callback->registration), 0, 0);
    return callback->number;
}

static inline int64_t kit_unregister(const struct kit_callback *callback)
{
    return mezz_call(MEZZ_CALL_CALLBACK_UNREGISTER, (uint64_t)callback->number, 0, 0);
}

static inline int64_t kit_counters(const struct kit_callback *callback,
                                   struct mezz_callback_counters *counters)
{
    return mezz_call(MEZZ_CALL_CALLBACK_COUNTERS, (uint64_t)callback->number, kit_address(counters),
                     0);
}

static inline void kit_condition(struct kit_callback *callback, uint16_t field, uint16_t op,
                                 uint64_t a, uint64_t b)
{
    struct mezz_callback_registration *r = &callback->registration;

    r->condition[r->condition_count++] =
        (struct mezz_condition){.field = field, .op = op, .a = a, .b = b};
}

#endif
