/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PROTECT_HOOKS_POLICY_STATE_H
#define VMM_PROTECT_HOOKS_POLICY_STATE_H

#include "hookguard/hooks/calls.h"
#include "mezz/abi.h"
#include "vmm/l2_policy.h"
#include "vmm/protect/guest_memory.h"
#include "vmm/protect/hooks/guard_event.h"
#include "vmm/protect/hooks/policy.h"

/* Between the files hook_*.c: the guard of an L2's API at work. */

struct hook_view {
    struct space_overlay *overlay; /* NULL: not made yet */
    uint64_t version;              /* of the guard's pages that it was made of */
    /* Whoever was asked last about a call in there said no, to a call of this function. */
    bool denied;
    bool late; /* and that only since he did not answer in time */
    uint64_t denied_function;
};

/* A vCPU. */
struct hook_place {
    struct hook_vcpu in;   /* where the guard has it */
    uint32_t shown;        /* the view that it sees */
    struct kvm_segment cs; /* of the program that is inside */
    struct kvm_segment ss;
    uint64_t rip; /* of the last violation that was nobody's, and how many in a row */
    unsigned int repeated;
    uint32_t asked_view; /* in which somebody is asked, and about which function */
    uint64_t asked_function;
    bool asked; /* L1, and with its answer it goes on so */
    struct hook_registers answered;
};

/* A page of the root's own for each of the plan's contents; UINT64_MAX: none. */
struct hook_content {
    uint64_t shown;
    uint64_t secure;
};

struct hook_policy {
    struct l2_policy policy;
    struct l2 *l2;
    const struct guard_config *config;
    struct hooks *hooks;
    struct hook_memory callbacks;
    struct guest_memory memory;
    struct hook_walks *walks[HOOK_VIEWS]; /* NULL: none yet */
    struct hook_structures *structures;   /* of each vCPU */
    struct guest_known known;
    struct hook_view view[HOOK_VIEWS + 1];
    struct hook_place place[MEZZ_MAX_L2_VCPUS];
    struct hook_content *content; /* of each page of the plan */
    bool claimed;
    struct view_patch *patch;
    size_t patches;
    size_t patch_capacity;
    int patch_code;
    uint64_t events; /* that were told */
    bool late;       /* the stack file's answer to the last one: was not there in time */
    struct guard_event event;
};

static inline struct hook_place *hook_place_of(struct hook_policy *guard,
                                               const struct l2_vcpu *vcpu)
{
    return &guard->place[vcpu->id - 1];
}

/* tables.c: guest's page tables. As struct hook_memory says. */
int hook_tables_executable(const struct guest_memory *memory, uint64_t cr3,
                           int (*function)(void *argument, uint64_t frame, bool user),
                           void *argument);

/* How an address space is walked by somebody who keeps the entries. */
struct hook_way {
    /* The entry at this L2-physical address: 0, or a negative errno that ends the walk. */
    int (*read)(void *context, uint64_t at, uint64_t *entry);
    void *context;
    uint64_t cr3; /* of four levels; without its flags */
    bool user;    /* only by what ring 3 may use */
};

#define HOOK_NOWHERE UINT64_MAX

/* An entry that such a walk went by, and where in the root's memory it lies. */
struct hook_noted {
    const uint64_t *memory;
    uint64_t entry;
};

static inline uint64_t hook_noted_differs(const struct hook_noted *noted)
{
    return __atomic_load_n(noted->memory, __ATOMIC_RELAXED) ^ noted->entry;
}

/* All of them say what they said, but for the accessed and dirty flags, which are the processor's.
 */
static inline bool hook_noted_same(const struct hook_noted *noted, size_t count)
{
    uint64_t differ = 0;
    size_t i = 0;

    for (; i + 8 <= count; i += 8)
#pragma GCC unroll 8
        for (size_t j = 0; j < 8; j++)
            differ |= hook_noted_differs(&noted[i + j]);
    for (; i < count; i++)
        differ |= hook_noted_differs(&noted[i]);
    return (differ & ~KEPT_WALK_NOTES) == 0;
}

/* From the top down to the page, or to where there is none: then *frame is HOOK_NOWHERE. *runs: no
 * entry on the way forbids to execute it. What read() says. */
int hook_tables_walk(const struct hook_way *way, uint64_t linear, uint64_t *frame, bool *runs);

/* Whether no table of the address space lies in a frame of which the default view has less. */
bool hook_tables_apart(struct hook_policy *guard, uint64_t cr3);

/* walks.c. As struct hook_memory says. */
void hook_walks_note(struct hook_policy *guard, unsigned int number, uint64_t cr3,
                     const uint64_t *frames);
bool hook_walks_same(const struct hook_policy *guard, unsigned int number, uint64_t cr3);
void hook_walks_destroy(struct hook_policy *guard);

/* structures.c. 0 or -ENOMEM. */
int hook_structures_create(struct hook_policy *guard);
/* As struct hook_memory says, of the vCPU that the memory was looked at with. */
bool hook_structures_sound(struct hook_policy *guard, unsigned int number, uint64_t cr3);
void hook_structures_destroy(struct hook_policy *guard);

/* views.c. 0 or a negative errno of the host, after which the L2 cannot go on. */
int hook_views_create(struct hook_policy *guard);
void hook_views_destroy(struct hook_policy *guard);
/* The views have what the guard says now: after each judgement, whatever came of it. */
int hook_views_follow(struct hook_policy *guard, struct l2_vcpu *vcpu);
/* The vCPU sees the view that the guard has it in, as that is now. */
int hook_views_show(struct hook_policy *guard, struct l2_vcpu *vcpu);

/* answer.c: what becomes of an access. HOOK_GO_ON; the others. */
void hook_proceed(struct hook_policy *guard, struct l2_vcpu *vcpu, const struct hook_access *access,
                  const struct hook_outcome *outcome);
enum l2_verdict hook_answer(struct hook_policy *guard, struct l2_vcpu *vcpu,
                            const struct hook_access *access, const struct hook_outcome *outcome);
/* The vCPU goes on with these. */
void hook_load(struct l2_vcpu *vcpu, const struct hook_registers *from);
void hook_policy_fail(const struct hook_policy *guard, int code);

/* access.c: what is to be known of the vCPU that the memory was looked at with. */
void hook_access_find(struct hook_policy *guard, struct l2_vcpu *vcpu,
                      const struct l2_access *refused, struct hook_access *access);
void hook_access_of_gate(struct l2_vcpu *vcpu, uint64_t index, struct hook_access *access);
/* Where the processor pushed its frame: linear; 0: nowhere known. */
uint64_t hook_access_frame(const struct hook_policy *guard, const struct hook_access *access);

/* note.c: counts, the log and the stack file's handler, whose answer it returns. */
int64_t hook_note(struct hook_policy *guard, const struct hook_access *access,
                  const struct hook_outcome *outcome);

/* The stack file's handler hears of it; its answer. */
int64_t hook_tell_script(struct hook_policy *guard, const struct guard_event *event);

/* "arg1" and so on, for the log. */
extern const char *const hook_argument_names[MEZZ_GUARD_ARGUMENTS];

/* Of the agent's memory, by the view's own frames. */
bool hook_read_agent(struct hook_policy *guard, uint32_t view, uint64_t linear, uint8_t *to,
                     size_t length);

/* nested.c: counts and tells of the calls within a call that is over. */
void hook_note_nested(struct hook_policy *guard, const struct hook_access *access,
                      const struct hook_outcome *outcome);

/* caller.c: "PROGRAM:SYMBOL+0x12", or "". */
void hook_caller_name(const struct hook_policy *guard, uint64_t cr3, uint64_t address, char *name,
                      size_t size);

/* tell.c: L1's part. */
/* The exit becomes MEZZ_EXIT_GUARD if a handler of L1 observes these. */
void hook_tell_l1(struct hook_policy *guard, struct l2_vcpu *vcpu,
                  const struct hook_outcome *outcome);
uint64_t hook_qualification(const struct hook_policy *guard, const struct hook_outcome *outcome);
/* What becomes of a call that the agent asks about. script: the stack file's answer. */
enum l2_verdict hook_decide(struct hook_policy *guard, struct l2_vcpu *vcpu,
                            const struct hook_outcome *outcome, int64_t script);
/* l2_policy_ops.answered */
void hook_answered(struct hook_policy *guard, struct l2_vcpu *vcpu, uint64_t value);

#endif
