/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/protect/hooks/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/hot.h"
#include "mezz/errors.h"
#include "vmm/exits/fatal.h"
#include "vmm/machine_state.h"
#include "vmm/protect/hooks/policy_state.h"

WHOLE static int translate(void *context, uint64_t cr3, uint64_t linear, uint64_t *frame)
{
    struct hook_policy *guard = context;
    int code;

    guard->memory.version = hook_version(guard->hooks, 0);
    code = guest_memory_translate(&guard->memory, cr3, linear, GUEST_READ | GUEST_USER, frame);
    *frame &= ~(PAGE_SIZE - 1);
    return code;
}

WHOLE static int read_memory(void *context, uint64_t address, void *to, size_t length)
{
    const struct hook_policy *guard = context;

    return guest_memory_read(&guard->memory, address, to, length);
}

static int write_memory(void *context, uint64_t address, const void *from, size_t length)
{
    struct hook_policy *guard = context;

    return guest_memory_write(&guard->memory, address, from, length);
}

static int executable(void *context, uint64_t cr3,
                      int (*function)(void *argument, uint64_t frame, bool user), void *argument)
{
    const struct hook_policy *guard = context;

    return hook_tables_executable(&guard->memory, cr3, function, argument);
}

static void note(void *context, unsigned int number, uint64_t cr3, const uint64_t *frames)
{
    hook_walks_note(context, number, cr3, frames);
}

WHOLE static bool same(void *context, unsigned int number, uint64_t cr3)
{
    return hook_walks_same(context, number, cr3);
}

HOT static bool sound(void *context, unsigned int number, uint64_t cr3)
{
    return hook_structures_sound(context, number, cr3);
}

static bool barred(void *context, uint64_t page)
{
    const struct hook_policy *guard = context;

    return hook_is_closed(guard->hooks, page);
}

COLD void hook_policy_fail(const struct hook_policy *guard, int code)
{
    fatal_policy(guard->l2, "guard", code);
}

static void destroy(struct l2_policy *policy)
{
    struct hook_policy *guard = (struct hook_policy *)policy;

    hooks_destroy(guard->hooks);
    hook_views_destroy(guard);
    hook_walks_destroy(guard);
    hook_structures_destroy(guard);
    free(guard);
}

static void vcpu_gone(struct l2_policy *policy, struct l2_vcpu *vcpu)
{
    struct hook_policy *guard = (struct hook_policy *)policy;

    hook_vcpu_gone(guard->hooks, &hook_place_of(guard, vcpu)->in);
    *hook_place_of(guard, vcpu) = (struct hook_place){.shown = 0};
}

/* Where the library and the agent lie, before anybody runs. */
static int claim_all(struct hook_policy *guard, const struct l2_vcpu *vcpu)
{
    const struct extent_table *extents = space_view_extents(vcpu->place.view);
    int code = 0;

    for (size_t i = 0; i < extents->count && code >= 0; i++)
        for (uint64_t at = 0; at < extents->extent[i].length && code >= 0; at += PAGE_SIZE)
            code = hook_claim(guard->hooks, extents->extent[i].l2.value + at);
    return code < 0 ? code : 0;
}

static int start(struct l2_policy *policy, struct l2_vcpu *vcpu)
{
    struct hook_policy *guard = (struct hook_policy *)policy;
    int code = 0;

    guest_memory_look(&guard->memory, vcpu);
    if (!guard->claimed)
        code = claim_all(guard, vcpu);
    if (code == 0 && !guard->claimed) {
        size_t of;
        const size_t found = hook_claimed(guard->hooks, &of);

        guard->l2->record->report.guard.missing = of - found;
    }
    if (code == 0)
        code = hook_views_show(guard, vcpu);
    guard->claimed = code == 0;
    return code == -ENOSPC ? MEZZ_E_LIMIT : code != 0 ? MEZZ_E_HOST : 0;
}

/* --- judgement --- */

COLD static void release_events(struct l2_vcpu *vcpu)
{
    l2_hold_windows(vcpu, false);
    l2_release_interrupts(vcpu);
}

/* In a security view events wait, for as long as the budget says. */
HOT static void follow_events(struct hook_policy *guard, struct l2_vcpu *vcpu)
{
    if (hook_place_of(guard, vcpu)->in.view == 0 && l2_holds_interrupts(vcpu))
        release_events(vcpu);
}

/* Nobody writes what becomes an agent's. */
COLD static void make_way(struct hook_policy *guard, struct l2_vcpu *vcpu,
                          const struct hook_access *access)
{
    if (!hook_moves_pages(guard->hooks, &hook_place_of(guard, vcpu)->in, access))
        return;
    l2_stop_others(vcpu);
    guest_memory_look(&guard->memory, vcpu);
}

/* Or it is asked about. */
COLD static enum l2_verdict refuse(struct hook_policy *guard, struct l2_vcpu *vcpu,
                                   const struct hook_access *access,
                                   const struct hook_outcome *outcome, int64_t answer)
{
    enum l2_verdict verdict;

    if (outcome->action == HOOK_ASK)
        return hook_decide(guard, vcpu, outcome, answer);
    verdict = hook_answer(guard, vcpu, access, outcome);
    follow_events(guard, vcpu);
    if (verdict == L2_HANDLED)
        hook_tell_l1(guard, vcpu, outcome);
    return verdict;
}

HOT static enum l2_verdict judge(struct hook_policy *guard, struct l2_vcpu *vcpu,
                                 const struct hook_access *access)
{
    struct hook_outcome outcome;
    int64_t answer;
    int code;

    if (l2_view_others_run(vcpu))
        make_way(guard, vcpu, access);
    hook_judge(guard->hooks, &hook_place_of(guard, vcpu)->in, access, &outcome);
    code = hook_views_follow(guard, vcpu);
    if (code != 0)
        hook_policy_fail(guard, code);
    answer = hook_note(guard, access, &outcome);
    if (outcome.action != HOOK_GO_ON)
        return refuse(guard, vcpu, access, &outcome, answer);
    hook_proceed(guard, vcpu, access, &outcome);
    follow_events(guard, vcpu);
    hook_tell_l1(guard, vcpu, &outcome);
    return L2_HANDLED;
}

static void answered(struct l2_policy *policy, struct l2_vcpu *vcpu, uint64_t value)
{
    hook_answered((struct hook_policy *)policy, vcpu, value);
}

WHOLE static enum l2_verdict violation(struct l2_policy *policy, struct l2_vcpu *vcpu,
                                       const struct l2_access *refused)
{
    struct hook_policy *guard = (struct hook_policy *)policy;
    struct hook_access access;

    guest_memory_look(&guard->memory, vcpu);
    hook_access_find(guard, vcpu, refused, &access);
    return judge(guard, vcpu, &access);
}

WHOLE static enum l2_verdict gate(struct l2_policy *policy, struct l2_vcpu *vcpu, uint64_t index,
                                  uint64_t rip)
{
    struct hook_policy *guard = (struct hook_policy *)policy;
    struct hook_access access;

    (void)rip;
    guest_memory_look(&guard->memory, vcpu);
    hook_access_of_gate(vcpu, index, &access);
    return judge(guard, vcpu, &access);
}

static enum l2_verdict interrupt(struct l2_policy *policy, struct l2_vcpu *vcpu, uint8_t vector)
{
    struct hook_policy *guard = (struct hook_policy *)policy;

    (void)vector;
    if (hook_place_of(guard, vcpu)->in.view == 0 || guard->config->budget_ns == 0)
        return L2_PASS;
    guard->l2->record->report.guard.held++;
    l2_hold_windows(vcpu, true);
    l2_policy_timer(vcpu, machine_time(guard->l2->machine) + guard->config->budget_ns);
    return L2_HANDLED;
}

/* The budget is spent. The kernel's first instruction takes the vCPU out of the view. */
static void tick(struct l2_policy *policy, struct l2_vcpu *vcpu)
{
    struct hook_policy *guard = (struct hook_policy *)policy;

    if (!l2_holds_interrupts(vcpu))
        return;
    guard->l2->record->report.guard.forced_out += hook_place_of(guard, vcpu)->in.view != 0;
    release_events(vcpu);
}

int hook_policy_add(struct l2 *l2, const struct guard_config *config)
{
    static const struct l2_policy_ops ops = {
        .start = start,
        .violation = violation,
        .gate = gate,
        .interrupt = interrupt,
        .answered = answered,
        .tick = tick,
        .vcpu_gone = vcpu_gone,
        .destroy = destroy,
    };
    struct hook_policy *guard = calloc(1, sizeof(*guard));
    int code;

    if (guard == NULL)
        return MEZZ_E_HOST;
    /* The views differ in rights, for which the other engines need slots at each switch: flip costs
     * a fraction of that also where it is not the first choice. */
    if (l2->engine == ENGINE_KINDS)
        l2->engine = ENGINE_FLIP;
    guard->policy.ops = &ops;
    guard->l2 = l2;
    guard->memory.known = &guard->known;
    guard->config = config;
    guard->memory.barred = config->plan->defences & HOOK_TABLE_CHECK ? barred : NULL;
    guard->memory.owner = guard;
    guard->callbacks = (struct hook_memory){translate, read_memory, write_memory, executable,
                                            note,      same,        sound,        guard};
    code = hooks_create(&guard->hooks, config->plan, &guard->callbacks, config->on_refusal);
    if (code == 0)
        code = hook_views_create(guard);
    if (code == 0)
        code = hook_structures_create(guard);
    code = code != 0 ? MEZZ_E_HOST : l2_policy_add(l2, &guard->policy);
    if (code != 0) {
        hooks_destroy(guard->hooks);
        hook_views_destroy(guard);
        hook_structures_destroy(guard);
        free(guard);
        return code;
    }
    l2->record->report.guard.declared = true;
    return 0;
}
