/* SPDX-License-Identifier: Apache-2.0 */
#include "hookguard/portions/guard.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hookguard/portions/facts.h"
#include "host/memory.h"
#include "mezz/ept.h"

static enum portion_scan scan(struct portion_guard *guard, struct portion_guard_facts *facts)
{
    const struct portion *portion = facts->portion;
    const uint64_t *frame = facts->own_view != NULL ? facts->own_view->frame : guard->frames;
    const struct pattern_source source = {guard->memory->read, guard->memory->context};
    struct pattern_cache *cache = facts->own_view != NULL ? &facts->own_view->cache : &facts->fresh;
    struct pattern_page pages[PATTERN_PAGES_LIMIT];
    struct pattern_result result;
    size_t count = 0;
    uint64_t scans;

    for (size_t page = 0; page < portion->own_pages && count < PATTERN_PAGES_LIMIT; page++)
        if (portion_guard_page_rights(portion, page) & MEZZ_EPT_EXECUTE)
            pages[count++] = (struct pattern_page){
                portion_guard_page_address(portion, page), frame[page],
                guard->memory->generation(guard->memory->context, frame[page])};
    scans = cache->scans;
    patterns_check(portion->patterns, cache, pages, count, &source, &result);
    guard->scans += cache->scans - scans;
    if (result.outcome == PATTERNS_MATCHED)
        facts->rule = result.rule[0];
    else if (result.outcome == PATTERNS_UNKNOWN)
        facts->rule = result.why;
    return result.outcome == PATTERNS_CLEAN     ? SCAN_CLEAN
           : result.outcome == PATTERNS_MATCHED ? SCAN_MATCHED
                                                : SCAN_FAILED;
}

/* Goes out of the current call, which may be come back to. */
static void leave(struct portion_guard_facts *facts, const struct decision *decision)
{
    const struct portion_guard_access *access = facts->access;
    struct portion_guard_call *call = facts->from_call;

    if (call == NULL)
        return;
    if (decision->ends || !decision->remember) {
        *call = (struct portion_guard_call){.used = false};
        return;
    }
    call->waits = true;
    call->kept = false;
    if (access->cpl == 0 && decision->reason == REASON_INTERRUPT) {
        call->rip = access->frame_of_interrupt.rip;
        call->next_rip = access->frame_of_interrupt.next_rip;
        call->rsp = access->frame_of_interrupt.rsp;
        call->kept = access->keep != NULL;
        call->system_call = access->system_call;
        if (call->kept)
            call->registers = *access->keep;
    } else {
        const bool stepped = access->cpl == 0;

        call->rip = stepped ? access->frame_of_interrupt.stack : access->stack;
        call->next_rip = 0;
        call->rsp = (stepped ? access->frame_of_interrupt.rsp : access->rsp) + 8;
    }
}

/* Whether it came in as a caller does, with an address to return to on the stack, and by a door. */
static bool is_a_call(const struct decision *decision)
{
    const uint64_t as_a_call = 1ULL << REASON_ENTRY | 1ULL << REASON_DATA_DIFFERS |
                               1ULL << REASON_PATTERN | 1ULL << REASON_NOT_SCANNED;

    return ((1ULL << decision->reason | decision->also) & ~as_a_call) == 0;
}

static bool enter(struct portion_guard *guard, struct portion_guard_vcpu *vcpu,
                  struct portion_guard_facts *facts, struct portion_guard_outcome *outcome)
{
    const struct portion_guard_access *access = facts->access;
    struct portion_guard_binding *binding = facts->own_view;
    struct portion_guard_call *call = facts->resumed;

    if (binding == NULL) {
        binding = portion_guard_bind(guard, facts->portion, access->cr3);
        if (binding == NULL)
            return false;
        binding->cache = facts->fresh;
        facts->fresh = (struct pattern_cache){.page = NULL};
    }
    if (!outcome->decision.resumes) {
        call = portion_guard_free_call(binding);
        if (call == NULL)
            return false;
        outcome->forgot = call->used;
        *call = (struct portion_guard_call){.used = true,
                                            .entry_rsp = access->rsp,
                                            .return_address = access->stack,
                                            .flags = access->rflags & PORTION_GUARD_CALLER_FLAGS,
                                            .return_known = access->stack_known,
                                            .return_matters = is_a_call(&outcome->decision)};
    } else if (call->kept) {
        outcome->restore = true;
        outcome->result = call->system_call;
        outcome->registers = call->registers;
    }
    call->waits = false;
    call->since = ++guard->clock;
    leave(facts, &outcome->decision);
    *vcpu = (struct portion_guard_vcpu){portion_guard_view_of(guard, binding),
                                        (uint32_t)(call - binding->call) + 1, binding->serial};
    outcome->decision.to = vcpu->view;
    return true;
}

static void carry_out(struct portion_guard *guard, struct portion_guard_vcpu *vcpu,
                      struct portion_guard_facts *facts, struct portion_guard_outcome *outcome)
{
    if (outcome->decision.to != 0) {
        if (enter(guard, vcpu, facts, outcome))
            return;
        outcome->decision = (struct decision){
            .verdict = VERDICT_ERROR, .reason = REASON_TOO_MANY_CALLS, .refused = true};
        return;
    }
    if (outcome->decision.reason == REASON_RETURN && facts->from_call != NULL)
        outcome->flags = facts->from_call->flags;
    leave(facts, &outcome->decision);
    *vcpu = (struct portion_guard_vcpu){.view = 0};
}

bool portion_guard_moves_pages(struct portion_guard *guard, const struct portion_guard_vcpu *vcpu,
                               const struct portion_guard_access *access)
{
    struct decision decision;
    struct portion_guard_facts facts;

    /* Where there is no room it would look for views whose program is gone. */
    if (portion_guard_find_free(guard) == NULL)
        return true;
    portion_guard_find_facts(guard, vcpu, access, &facts);
    decision = decide(&facts.request);
    return decision.verdict == VERDICT_RELEASE ||
           ((decision.verdict == VERDICT_SWITCH || decision.verdict == VERDICT_SCAN) &&
            facts.portion != NULL && facts.own_view == NULL);
}

void portion_guard_judge(struct portion_guard *guard, struct portion_guard_vcpu *vcpu,
                         const struct portion_guard_access *access,
                         struct portion_guard_outcome *outcome)
{
    struct portion_guard_facts facts;

    *outcome = (struct portion_guard_outcome){.from = vcpu->view};
    for (;;) {
        portion_guard_find_facts(guard, vcpu, access, &facts);
        outcome->decision = decide(&facts.request);
        if (outcome->decision.verdict == VERDICT_SCAN) {
            facts.request.scan = scan(guard, &facts);
            outcome->decision = decide(&facts.request);
        }
        if (outcome->decision.verdict != VERDICT_RELEASE)
            break;
        /* One view fewer each time. */
        outcome->released++;
        outcome->released_for = outcome->decision.reason;
        portion_guard_release(
            guard, outcome->decision.reason == REASON_OWNER_GONE ? facts.owner : facts.own_view,
            outcome->decision.reason);
    }
    outcome->rule = facts.rule;
    outcome->portion = facts.portion;
    if (outcome->portion == NULL && facts.from != NULL)
        outcome->portion = facts.from->portion;
    if (outcome->decision.verdict == VERDICT_SWITCH)
        carry_out(guard, vcpu, &facts, outcome);
    else if (portion_guard_current(guard, vcpu) == NULL)
        *vcpu = (struct portion_guard_vcpu){.view = 0};
    pattern_cache_destroy(&facts.fresh);
}

void portion_guard_refuse(struct portion_guard *guard, struct portion_guard_vcpu *vcpu,
                          const struct portion_guard_access *access, enum decision_reason reason,
                          struct portion_guard_outcome *outcome)
{
    struct portion_guard_binding *binding = portion_guard_current(guard, vcpu);
    struct decision_request request = {.access = access->access, .cpl = access->cpl};

    if (outcome->portion != NULL) {
        request.on_refusal = outcome->portion->on_refusal;
        request.tolerated = outcome->portion->tolerated;
    }
    if (binding != NULL && vcpu->call > 0 && vcpu->call <= PORTION_GUARD_CALLS)
        binding->call[vcpu->call - 1] = (struct portion_guard_call){.used = false};
    *vcpu = (struct portion_guard_vcpu){.view = 0};
    outcome->restore = false;
    outcome->decision = decision_refuse(&request, reason);
}

void portion_guard_refuse_table(struct portion_guard *guard, const struct portion_guard_vcpu *vcpu,
                                const struct portion_guard_access *access,
                                struct portion_guard_outcome *outcome)
{
    const struct decision_request request = {.access = access->access, .cpl = access->cpl};
    struct portion_guard_facts facts;

    portion_guard_find_facts(guard, vcpu, access, &facts);
    *outcome =
        (struct portion_guard_outcome){.from = vcpu->view,
                                       .portion = facts.portion,
                                       .decision = decision_refuse(&request, REASON_TABLE_INSIDE)};
    pattern_cache_destroy(&facts.fresh);
}

/* Whether L1 was asked about what it is refused for. */
static bool is_by_l1(const struct portion_guard_access *access, enum decision_reason reason)
{
    return access->asked && (access->allowed == 0 || access->allowed >> reason & 1);
}

static void name_others(uint64_t reasons, char *text, size_t size)
{
    size_t length = 0;

    text[0] = '\0';
    for (enum decision_reason r = REASON_NONE; r < REASON_KINDS && length < size; r++)
        if (reasons >> r & 1)
            length += (size_t)snprintf(text + length, size - length, "%s%s", length > 0 ? "," : "",
                                       decision_reason_name(r));
}

void portion_guard_describe(const struct portion_guard *guard,
                            const struct portion_guard_access *access,
                            const struct portion_guard_outcome *outcome,
                            struct portion_guard_event *event)
{
    static const char *const names[ACCESS_KINDS] = {"read", "write", "fetch"};
    const struct portion *portion = outcome->portion;
    const struct program_symbol *symbol = NULL;
    size_t count = 6;

    if (portion != NULL)
        symbol = program_symbol_at(&guard->table->program[portion->program], access->rip);
    event->address[0] = '\0';
    if (access->linear_known || access->linear != 0)
        snprintf(event->address, sizeof(event->address), "%#" PRIx64, access->linear);
    snprintf(event->physical, sizeof(event->physical), "%#" PRIx64, access->physical);
    snprintf(event->space, sizeof(event->space), "%#" PRIx64, access->cr3);
    event->more[0] = (struct log_field){
        "program", portion != NULL ? guard->table->program[portion->program].name : "", 0};
    event->more[1] = (struct log_field){"portion", portion != NULL ? portion->name : "", 0};
    event->more[2] = (struct log_field){"access", names[access->access], 0};
    event->more[3] = (struct log_field){"address", event->address, 0};
    event->more[4] = (struct log_field){"cr3", event->space, 0};
    event->more[5] = (struct log_field){"physical", event->physical, 0};
    if (outcome->decision.refused)
        event->more[count++] = (struct log_field){
            "by", is_by_l1(access, outcome->decision.reason) ? "l1" : "stack", 0};
    name_others(outcome->decision.also, event->also, sizeof(event->also));
    if (event->also[0] != '\0')
        event->more[count++] = (struct log_field){"also", event->also, 0};
    if (outcome->released > 0)
        event->more[count++] =
            (struct log_field){"released", decision_reason_name(outcome->released_for), 0};
    event->event = (struct log_event){
        .level = 2,
        .from = outcome->from,
        .to = outcome->decision.verdict == VERDICT_SWITCH ? outcome->decision.to : outcome->from,
        .rip = access->rip,
        .symbol = symbol != NULL ? symbol->name : NULL,
        .reason = decision_reason_name(outcome->decision.reason),
        .rule = outcome->rule,
        .verdict = decision_verdict_name(outcome->decision.verdict),
        .more = event->more,
        .more_count = count};
}
