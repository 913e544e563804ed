/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_HOOKS_STATE_H
#define HOOKGUARD_HOOKS_STATE_H

#include "hookguard/hooks/calls.h"

/* Between calls.c and bind.c. */
#define HOOK_CLOSED_BITS 4096U

struct hook_claimed {
    uint64_t frame;
    size_t page;  /* of the plan */
    bool settled; /* it has been used as that; before, it may be another one with the same bytes */
};

struct hook_code_frame {
    uint64_t frame;
    bool user;
};

/* An address space, its security view and the call that it makes. */
struct hook_binding {
    bool used;
    uint64_t cr3;
    uint64_t serial;
    uint64_t version;
    uint64_t *frame;              /* of each page of the plan */
    uint64_t nested_frame;        /* among them, that of nested_page */
    struct hook_code_frame *code; /* what else it executes */
    size_t codes;

    unsigned int inside; /* vCPUs that are in the view */
    bool calls;
    bool waits; /* outside, to come back */
    bool system_call;
    bool stray; /* in without an entry: only where a test has switched the check off */
    const struct hook_function *function;
    uint64_t return_address;
    struct hook_registers entry;
    struct hook_registers kept;
};

struct hooks {
    const struct hook_plan *plan;
    const struct hook_memory *memory;
    enum portion_refusal on_refusal;
    uint64_t version; /* of the default view */
    uint64_t serial;
    uint64_t pages_from; /* linear: of the plan's first page, and up to the last one's end */
    uint64_t pages_length;
    uint64_t nested_linear; /* the page of plan->nested, and its number */
    size_t nested_page;
    size_t claims;
    uint64_t closed_version; /* arguments.c: by frame number, and of which version */
    uint64_t closed[HOOK_CLOSED_BITS / 64];
    struct hook_binding binding[HOOK_VIEWS];
    struct hook_claimed claim[HOOK_CLAIMS];
    uint64_t frames[HOOK_PAGES_LIMIT]; /* of the address space that is looked at */
};

/* The page of the plan at this address, or NULL; nearly always it is far from all of them. */
static inline const struct hook_page *hook_page_of(const struct hooks *hooks, uint64_t linear)
{
    return linear - hooks->pages_from < hooks->pages_length ? hook_page_at(hooks->plan, linear)
                                                            : NULL;
}

/* Constant in memory: found by its bytes, the same frame for every address space. */
bool hook_is_code(const struct hook_page *page);

const struct hook_claimed *hook_find_claim(const struct hooks *hooks, uint64_t frame);
/* Whether the frame is this page of the plan: the first use of it says so. */
bool hook_settle(struct hooks *hooks, uint64_t frame, size_t page);
struct hook_binding *hook_find_binding(struct hooks *hooks, uint64_t cr3);
/* The one whose view the vCPU is in, or NULL. */
struct hook_binding *hook_binding_of(struct hooks *hooks, const struct hook_vcpu *vcpu);
/* Whether its pages are where they were. */
bool hook_intact(struct hooks *hooks, const struct hook_binding *binding);
/* HOOK_REASON_NONE and the binding, or why there is none. */
enum hook_reason hook_bind(struct hooks *hooks, uint64_t cr3, struct hook_binding **binding);
void hook_release(struct hooks *hooks, struct hook_binding *binding);

/* Why it is not. */
enum hook_reason hook_why_moved(struct hooks *hooks, const struct hook_binding *binding);
/* What the processor goes by in the binding's view is the kernel's own. */
bool hook_is_sound(const struct hooks *hooks, const struct hook_binding *binding);

/* arguments.c. Takes away what the function is not declared to take: it could be an address of
 * the agent's. */
void hook_give_arguments(const struct hook_function *function, struct hook_registers *given);
/* HOOK_REASON_NONE if what the binding's call names is no frame of hook_is_closed(), wherever that
 * is mapped, and its page tables are none. */
enum hook_reason hook_check_arguments(struct hooks *hooks, const struct hook_binding *binding);

#endif
