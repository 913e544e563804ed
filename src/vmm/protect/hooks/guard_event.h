/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PROTECT_HOOKS_GUARD_EVENT_H
#define VMM_PROTECT_HOOKS_GUARD_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hookguard/hooks/calls.h"

/*
 * What a guard tells of a call that is over, of one that it asks about and of a refusal. It goes
 * from one process to another: no pointers. Whoever gets one from there checks it with
 * guard_event_is_sound().
 */
#define GUARD_EVENT_CALLER  128U
#define GUARD_EVENT_BYTES   16384U
#define GUARD_EVENT_VECTORS 256U

struct guard_event_argument {
    uint64_t value;
    uint32_t kind;   /* enum mezz_guard_kind; VALUE: there is no copy */
    uint32_t offset; /* of the copy in `data` */
    uint32_t length; /* of it; a text's without the zero */
    uint32_t reserved;
};

struct guard_event {
    uint64_t number; /* of its machine, from 1 on */
    uint64_t time_ns;
    uint64_t caller; /* struct hook_outcome */
    uint64_t cr3;
    uint32_t l2; /* in the configuration */
    uint32_t reason;
    uint32_t verdict;
    uint32_t action;
    uint32_t function; /* of the plan; MEZZ_GUARD_FUNCTIONS: none */
    uint32_t arguments;
    char place[GUARD_EVENT_CALLER]; /* the caller as "PROGRAM:SYMBOL+0x12"; "": not known */
    uint32_t within; /* of a call that another one made: that one's function; or _FUNCTIONS */
    uint32_t fault;  /* HOOK_REASON_AGENT_FAULT: vector, where, and a page fault's address */
    uint64_t fault_rip;
    uint64_t fault_address;
    char fault_place[GUARD_EVENT_CALLER];
    struct guard_event_argument argument[MEZZ_GUARD_ARGUMENTS];
    uint32_t bytes; /* of data */
    uint32_t reserved;
    uint8_t data[GUARD_EVENT_BYTES];
};

static inline size_t guard_event_size(const struct guard_event *event)
{
    return offsetof(struct guard_event, data) + event->bytes;
}

/* Whether these are the bytes of an event that can be shown to somebody. */
bool guard_event_is_sound(const struct guard_event *event, size_t size);

/* Who hears of events while the machine runs. The functions are called on a vCPU's thread, with
 * the machine's lock. */
struct guard_listener {
    void *context;
    /* The answer at HOOK_REASON_ASKED, as a callback of an agent gives it; otherwise 0. -EPERM
     * before the declared time is over, if there is none; *heard: it was told at all. */
    int64_t (*event)(void *context, const struct guard_event *event, uint64_t patience_ns,
                     bool *heard);
    /* The machine is to end: who hears has failed, and has said so. */
    bool (*over)(void *context);
};

#endif
