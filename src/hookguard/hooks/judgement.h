/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_HOOKS_JUDGEMENT_H
#define HOOKGUARD_HOOKS_JUDGEMENT_H

#include "hookguard/hooks/state.h"
#include "host/memory.h"

/* Between calls.c, which finds out what an access is, and moves.c, which carries out what
 * comes of it. */
#define PAGE_OF(address) ((address) & ~(PAGE_SIZE - 1))

/* One access that is being judged. */
struct hook_judgement {
    struct hooks *hooks;
    struct hook_vcpu *vcpu;
    const struct hook_access *access;
    struct hook_outcome *outcome;
    struct hook_binding *from;    /* whose view the vCPU is in; NULL: the default view */
    const struct hook_page *page; /* of the plan that is accessed; NULL */
    /* Of fetches from outside and of gates: the address space's, or NULL, and whether its pages
     * were found where they were: never without the mapping check. */
    struct hook_binding *space;
    bool intact;
};

static inline bool hook_has(const struct hook_judgement *it, enum hook_defence defence)
{
    return it->hooks->plan->defences & defence;
}

/* NULL: the default view. */
void hook_enter_view(const struct hook_judgement *it, struct hook_binding *binding);
/* registers: to be loaded; NULL: those that are there. */
void hook_go_on(const struct hook_judgement *it, enum hook_reason reason,
                const struct hook_registers *registers);

void hook_refuse(const struct hook_judgement *it, enum hook_reason reason);
/* Ends a call whose program is not to go on: it is back in the default view, at its call's return,
 * whatever becomes of it there. */
void hook_abandon(const struct hook_judgement *it, struct hook_binding *binding,
                  enum hook_reason reason);

/* The address space's binding, made if it has none and checked if it has. */
enum hook_reason hook_find_space(const struct hook_judgement *it, struct hook_binding **binding);
/* A call comes in; one that was out for a while comes back. */
void hook_enter(const struct hook_judgement *it, const struct hook_function *function);
void hook_come_back(const struct hook_judgement *it);

/* At the door: the agent goes on where it asked, in its view, and the answer comes later. False: it
 * does not ask, and leaves. */
bool hook_asks(const struct hook_judgement *it);
void hook_leave(const struct hook_judgement *it);
/* The kernel's first instruction, by an interrupt or an exception: it does not execute here. */
void hook_go_away(const struct hook_judgement *it);

#endif
