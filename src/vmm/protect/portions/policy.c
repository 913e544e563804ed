/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/protect/portions/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "mezz/errors.h"
#include "vmm/exits/fatal.h"
#include "vmm/l2_log.h"
#include "vmm/machine_state.h"
#include "vmm/protect/portions/state.h"

/* A violation that the guard has nothing against, again and again at one address: the view and the
 * guard are not of one mind, and the L2 would never get on. */
#define REPEATED_LIMIT 16U

/* A vector for whoever asks how the kernel would be entered; any will do. */
#define FIRST_INTERRUPT 32U

static int translate(void *context, uint64_t cr3, uint64_t linear, uint64_t *frame)
{
    const struct portions *portions = context;

    return guest_memory_translate(&portions->memory, cr3, linear, GUEST_READ | GUEST_USER, frame);
}

static int read_frame(void *context, uint64_t frame, void *to)
{
    const struct portions *portions = context;

    return guest_memory_read(&portions->memory, frame, to, PAGE_SIZE);
}

static int wipe(void *context, uint64_t frame)
{
    static const uint8_t zeros[PAGE_SIZE];
    struct portions *portions = context;

    return guest_memory_write(&portions->memory, frame, zeros, sizeof(zeros));
}

/* Code is in no view that can write it: only the root itself does. */
static uint64_t generation(void *context, uint64_t frame)
{
    (void)frame;
    return ((const struct portions *)context)->memory.writes;
}

static bool occupied(void *context, uint32_t view)
{
    const struct portions *portions = context;

    for (unsigned int i = 0; i < MEZZ_MAX_L2_VCPUS; i++)
        if (portions->place[i].in.view == view || portions->place[i].shown == view)
            return true;
    return false;
}

static void destroy(struct l2_policy *policy)
{
    struct portions *portions = (struct portions *)policy;

    portion_views_destroy(portions);
    portion_guard_destroy(portions->guard);
    free(portions);
}

static void vcpu_gone(struct l2_policy *policy, struct l2_vcpu *vcpu)
{
    struct portions *portions = (struct portions *)policy;

    *portion_place_of(portions, vcpu) = (struct portion_place){.shown = 0};
}

/* --- claims --- */

static int claim_extent(struct portions *portions, const struct extent *extent)
{
    int code = 0;

    for (uint64_t at = 0; at < extent->length && code >= 0; at += PAGE_SIZE)
        code = portion_guard_claim(portions->guard, extent->l2.value + at);
    return code < 0 ? code : 0;
}

static int claim_all(struct portions *portions, const struct l2_vcpu *vcpu)
{
    const struct extent_table *extents = space_view_extents(vcpu->place.view);
    int code = 0;

    for (size_t i = 0; i < extents->count && code == 0; i++)
        code = claim_extent(portions, &extents->extent[i]);
    return code;
}

static int start(struct l2_policy *policy, struct l2_vcpu *vcpu)
{
    struct portions *portions = (struct portions *)policy;
    int code = 0;

    guest_memory_look(&portions->memory, vcpu);
    if (!portions->claimed)
        code = claim_all(portions, vcpu);
    if (code == 0)
        code = portion_views_follow(portions);
    if (code == 0)
        code = portion_views_show(portions, vcpu);
    portions->claimed = code == 0;
    return code == -ENOSPC ? MEZZ_E_LIMIT : code != 0 ? MEZZ_E_HOST : 0;
}

/* --- judgement --- */

void portion_fail(const struct portions *portions, int code)
{
    fatal_policy(portions->l2, "portions", code);
}

static void note(const struct portions *portions, const struct portion_guard_access *access,
                 const struct portion_guard_outcome *outcome)
{
    struct portions_report *report = &portions->l2->record->report.portions;
    const struct decision *decision = &outcome->decision;
    struct portion_guard_event event;

    if (outcome->released > 0)
        report->reasons[outcome->released_for] += outcome->released;
    if (decision->reason == REASON_NONE)
        return;
    report->reasons[decision->reason]++;
    report->switches += decision->verdict == VERDICT_SWITCH;
    report->entries += decision->verdict == VERDICT_SWITCH && decision->reason == REASON_ENTRY;
    if (portions->l2->machine->log == NULL)
        return;
    portion_guard_describe(portions->guard, access, outcome, &event);
    if (!l2_log(portions->l2, &event.event, decision->refused))
        report->unlogged++;
}

/* What has to hold before a vCPU runs in a portion's view. */
static int make_ready(struct portions *portions, uint32_t view, bool is_new)
{
    int code = portion_views_follow(portions);

    if (code == 0 && view != 0)
        code = portion_views_ready(portions, view);
    if (code == 0 && view != 0 && is_new && !portion_guard_code_is_right(portions->guard, view))
        code = -EPERM;
    return code;
}

/* Judges, and makes the views agree with it. */
static void judge(struct portions *portions, struct l2_vcpu *vcpu,
                  const struct portion_access_facts *facts, struct portion_guard_outcome *outcome)
{
    struct portion_place *place = portion_place_of(portions, vcpu);
    const uint64_t version = portions->version;
    int code;

    /* Nobody writes what is looked at, and nobody is in what is taken away. */
    if (l2_view_others_run(vcpu) &&
        portion_guard_moves_pages(portions->guard, &place->in, &facts->access))
        l2_stop_others(vcpu);
    portion_guard_judge(portions->guard, &place->in, &facts->access, outcome);
    code = make_ready(portions, outcome->decision.verdict == VERDICT_SWITCH ? place->in.view : 0,
                      portion_guard_version(portions->guard) != version);
    if (code == -EPERM) {
        portion_guard_refuse(portions->guard, &place->in, &facts->access, REASON_UNSAFE_SPACE,
                             outcome);
        code = portion_views_follow(portions);
    }
    if (code != 0)
        portion_fail(portions, code);
}

static void show(struct portions *portions, struct l2_vcpu *vcpu)
{
    int code = portion_views_show(portions, vcpu);

    if (code != 0)
        portion_fail(portions, code);
}

void portion_leave_for_event(struct portions *portions, struct l2_vcpu *vcpu, unsigned int vector)
{
    struct portion_place *place = portion_place_of(portions, vcpu);
    struct portion_access_facts facts;
    struct portion_guard_outcome outcome;

    if (place->in.view == 0)
        return;
    guest_memory_look(&portions->memory, vcpu);
    portion_access_of_event(portions, vcpu, vector, &facts);
    judge(portions, vcpu, &facts, &outcome);
    note(portions, &facts.access, &outcome);
    if (place->in.view != 0)
        portion_guard_refuse(portions->guard, &place->in, &facts.access, REASON_UNSAFE_SPACE,
                             &outcome);
    portion_answer_switch(portions, vcpu, &facts, &outcome);
    show(portions, vcpu);
}

void portion_leave_by_fetch(struct portions *portions, struct l2_vcpu *vcpu,
                            const struct portion_access_facts *facts)
{
    struct portion_place *place = portion_place_of(portions, vcpu);
    struct portion_access_facts away = *facts;
    struct portion_guard_outcome outcome;

    if (place->in.view == 0)
        return;
    away.access.frame = PORTION_GUARD_NO_FRAME;
    judge(portions, vcpu, &away, &outcome);
    note(portions, &away.access, &outcome);
    portion_answer_switch(portions, vcpu, &away, &outcome);
}

static enum l2_verdict interrupt(struct l2_policy *policy, struct l2_vcpu *vcpu, uint8_t vector)
{
    struct portions *portions = (struct portions *)policy;

    if (portion_hold_back(portions, vcpu))
        return L2_HANDLED;
    portion_leave_for_event(portions, vcpu, vector);
    return L2_PASS;
}

/* Interrupts were held back for long enough. */
static void tick(struct l2_policy *policy, struct l2_vcpu *vcpu)
{
    if (!vcpu->hold_windows || l2_drain(vcpu) != 0)
        return;
    portion_leave_for_event((struct portions *)policy, vcpu, FIRST_INTERRUPT);
    portion_hold_end(vcpu);
}

/* True: it cannot go on like this. */
static bool is_stuck(struct portion_place *place, uint64_t rip)
{
    place->repeated = place->rip == rip ? place->repeated + 1 : 0;
    place->rip = rip;
    return place->repeated > REPEATED_LIMIT;
}

/* The guard has nothing against it: views have changed since. */
static enum l2_verdict resume(struct portions *portions, struct l2_vcpu *vcpu,
                              const struct portion_access_facts *facts)
{
    const struct portion_guard_access *access = &facts->access;

    if (access->access == ACCESS_FETCH)
        return is_stuck(portion_place_of(portions, vcpu), access->rip) ? L2_PASS : L2_HANDLED;
    portion_answer_serve(portions, vcpu, facts);
    return L2_HANDLED;
}

/* The L2 ends: L1 gets an exit, and its next entry an error. */
static enum l2_verdict stop(struct l2_vcpu *vcpu, const struct portion_guard_outcome *outcome)
{
    vcpu->l2->stopped = true;
    vcpu->exit.done = true;
    vcpu->exit.reason = MEZZ_EXIT_PORTION;
    vcpu->exit.qualification = (uint64_t)outcome->decision.reason;
    return L2_REFLECT;
}

/* Nobody else tells of it: see housing.h. */
static enum l2_verdict stuck(struct l2_policy *policy, struct l2_vcpu *vcpu)
{
    struct portions *portions = (struct portions *)policy;
    struct portion_access_facts facts;
    struct portion_guard_outcome outcome;

    guest_memory_look(&portions->memory, vcpu);
    if (!portion_access_find_table(portions, vcpu, &facts))
        return L2_PASS;
    portion_guard_refuse_table(portions->guard, &portion_place_of(portions, vcpu)->in,
                               &facts.access, &outcome);
    note(portions, &facts.access, &outcome);
    return stop(vcpu, &outcome);
}

static enum l2_verdict answer(struct portions *portions, struct l2_vcpu *vcpu,
                              const struct portion_access_facts *facts,
                              const struct portion_guard_outcome *outcome)
{
    switch ((int)outcome->decision.verdict) {
    case VERDICT_SWITCH:
        portion_answer_switch(portions, vcpu, facts, outcome);
        return L2_HANDLED;
    case VERDICT_SERVE:
        portion_answer_serve(portions, vcpu, facts);
        return L2_HANDLED;
    case VERDICT_ERROR:
        portion_answer_error(portions, vcpu, facts);
        return L2_HANDLED;
    case VERDICT_KILL:
        portion_answer_kill(portions, vcpu);
        return L2_HANDLED;
    case VERDICT_STOP:
        return stop(vcpu, outcome);
    default:
        return resume(portions, vcpu, facts);
    }
}

/* Judges the access and does what comes of it. */
static enum l2_verdict settle(struct portions *portions, struct l2_vcpu *vcpu,
                              const struct portion_access_facts *facts,
                              const struct portion_guard_outcome *outcome, uint64_t begun)
{
    const struct portion_place *place = portion_place_of(portions, vcpu);
    enum l2_verdict verdict;

    note(portions, &facts->access, outcome);
    verdict = answer(portions, vcpu, facts, outcome);
    if (verdict == L2_HANDLED)
        show(portions, vcpu);
    if (place->in.view == 0)
        portion_hold_end(vcpu);
    else if (outcome->decision.verdict == VERDICT_SWITCH)
        portion_hold_begin(portions, vcpu, begun);
    portions->l2->record->report.portions.scans = portion_guard_scans(portions->guard);
    return verdict;
}

/* L1 has a handler for what is refused, and is not tolerated. */
static bool asks_l1(const struct l2 *l2, const struct portion_guard_outcome *outcome)
{
    const struct callback *callback = l2->callbacks[reason_index(MEZZ_EXIT_PORTION)];

    while (callback != NULL && callback->registration.mode != MEZZ_MODE_DECIDE)
        callback = callback->next;
    return callback != NULL && outcome->decision.refused &&
           outcome->decision.verdict != VERDICT_SWITCH &&
           outcome->decision.verdict != VERDICT_SERVE;
}

/* The exit becomes one that L1 answers: see answered(). */
static enum l2_verdict ask(struct portion_place *place, struct l2_vcpu *vcpu,
                           const struct portion_access_facts *facts,
                           const struct portion_guard_outcome *outcome)
{
    const struct portion_guard_access *access = &facts->access;

    place->asked = true;
    place->asked_for = outcome->decision.reason;
    place->facts = *facts;
    vcpu->exit.reason = MEZZ_EXIT_PORTION;
    vcpu->exit.qualification = (uint64_t)outcome->decision.reason |
                               (uint64_t)access->access << MEZZ_PORTION_ACCESS_SHIFT |
                               (uint64_t)outcome->portion->id << MEZZ_PORTION_ID_SHIFT;
    return L2_REFLECT;
}

static enum l2_verdict violation(struct l2_policy *policy, struct l2_vcpu *vcpu,
                                 const struct l2_access *access)
{
    struct portions *portions = (struct portions *)policy;
    const uint64_t begun = __rdtsc();
    struct portion_access_facts facts;
    struct portion_guard_outcome outcome;
    struct ept12_translation now;

    if (space_view_lookup_ept(vcpu->place.view, access->address, &now) != 0 ||
        !(now.rights & access->right))
        return L2_PASS;
    guest_memory_look(&portions->memory, vcpu);
    portion_access_find(portions, vcpu, access, &facts);
    /* It is the fetch's page table, maybe. */
    if (facts.access.access == ACCESS_FETCH && facts.access.cpl == 0 &&
        stuck(policy, vcpu) == L2_REFLECT)
        return L2_REFLECT;
    judge(portions, vcpu, &facts, &outcome);
    if (asks_l1(portions->l2, &outcome))
        return ask(portion_place_of(portions, vcpu), vcpu, &facts, &outcome);
    return settle(portions, vcpu, &facts, &outcome, begun);
}

/* L1 has decided: MEZZ_PORTION_ALLOW, or as the stack says. */
static void answered(struct l2_policy *policy, struct l2_vcpu *vcpu, uint64_t value)
{
    struct portions *portions = (struct portions *)policy;
    struct portion_place *place = portion_place_of(portions, vcpu);
    struct portion_access_facts facts = place->facts;
    struct portion_guard_outcome outcome;

    if (!place->asked)
        return;
    place->asked = false;
    guest_memory_look(&portions->memory, vcpu);
    facts.access.asked = true;
    facts.access.allowed = value == MEZZ_PORTION_ALLOW ? 1ULL << place->asked_for : 0;
    if (facts.access.keep != NULL)
        facts.access.keep = &facts.keep;
    judge(portions, vcpu, &facts, &outcome);
    settle(portions, vcpu, &facts, &outcome, __rdtsc());
}

int portion_policy_add(struct l2 *l2, const struct portion_table *table)
{
    static const struct l2_policy_ops ops = {
        .start = start,
        .violation = violation,
        .interrupt = interrupt,
        .answered = answered,
        .tick = tick,
        .stuck = stuck,
        .vcpu_gone = vcpu_gone,
        .destroy = destroy,
    };
    struct portions *portions = calloc(1, sizeof(*portions));
    int code;

    if (portions == NULL)
        return MEZZ_E_HOST;
    portions->policy.ops = &ops;
    portions->l2 = l2;
    portions->memory.known = &portions->known;
    portions->callbacks =
        (struct portion_guard_memory){translate, read_frame, wipe, generation, occupied, portions};
    code = portion_guard_create(&portions->guard, table, &portions->callbacks) != 0
               ? MEZZ_E_HOST
               : l2_policy_add(l2, &portions->policy);
    if (code != 0) {
        if (portions->guard != NULL)
            portion_guard_destroy(portions->guard);
        free(portions);
        return code;
    }
    l2->record->report.portions.declared = true;
    return 0;
}
