/* SPDX-License-Identifier: Apache-2.0 */
#include "hookguard/guard.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hookguard/guard_state.h"
#include "host/memory.h"
#include "mezz/ept.h"

/* decide() only compares who is who: views are 1 to GUARD_VIEWS, and a portion that no view has yet
 * is a number past them. */
#define UNBOUND(portion) (GUARD_VIEWS + (portion)->id)

/* What is found out of one access. */
struct facts {
    const struct guard_access *access;
    struct guard_binding *from;
    struct guard_call *from_call;
    const struct portion *portion;  /* whose page is accessed */
    size_t page;                    /* of its own ones */
    struct guard_binding *owner;    /* a view that has the frame */
    struct guard_binding *own_view; /* of the portion in this address space */
    struct guard_call *resumed;
    const char *rule;
    struct pattern_cache fresh; /* of a portion that has no view yet */
    struct decision_request request;
};

static struct guard_binding *current(struct guard *guard, const struct guard_vcpu *vcpu)
{
    struct guard_binding *binding;

    if (vcpu->view == 0 || vcpu->view > GUARD_VIEWS)
        return NULL;
    binding = &guard->binding[vcpu->view - 1];
    return binding->portion != NULL && binding->serial == vcpu->serial ? binding : NULL;
}

static uint32_t view_of(const struct guard *guard, const struct guard_binding *binding)
{
    return binding == NULL ? 0 : (uint32_t)(binding - guard->binding) + 1;
}

/* Whose the frame is: of the view that the vCPU is in, else of its address space, else anyone's. */
static void find_owner(struct guard *guard, struct facts *facts)
{
    uint64_t frame = facts->access->frame & ~(PAGE_SIZE - 1);
    int best = -1;

    for (size_t i = 0; i < GUARD_VIEWS; i++) {
        struct guard_binding *binding = &guard->binding[i];
        int rank = binding == facts->from ? 2 : binding->cr3 == facts->access->cr3;

        for (size_t page = 0; binding->portion != NULL && page < binding->portion->own_pages;
             page++)
            if (binding->frame[page] == frame && rank > best) {
                best = rank;
                facts->owner = binding;
                facts->portion = binding->portion;
                facts->page = page;
            }
    }
    for (size_t i = 0; i < guard->claims && facts->portion == NULL; i++)
        if (guard->claim[i].frame == frame) {
            facts->portion = guard->claim[i].portion;
            facts->page = guard->claim[i].page;
        }
}

static enum portion_identity identify(struct guard *guard, const struct facts *facts)
{
    if (facts->access->access != ACCESS_FETCH) {
        if (facts->owner == NULL)
            return IDENTITY_NEW;
        return facts->owner->cr3 == facts->access->cr3 ? IDENTITY_BOUND : IDENTITY_OTHER;
    }
    if (facts->own_view != NULL)
        return guard_intact(guard, facts->own_view) ? IDENTITY_BOUND : IDENTITY_REMAPPED;
    if (facts->owner != NULL && facts->request.writable)
        return IDENTITY_OTHER;
    return guard_examine(guard, facts->portion, facts->access->cr3);
}

static void find_resume(struct facts *facts)
{
    const struct guard_access *access = facts->access;

    for (size_t i = 0; facts->own_view != NULL && i < GUARD_CALLS; i++) {
        struct guard_call *call = &facts->own_view->call[i];

        if (!call->used || !call->waits ||
            (call->rip != access->rip && (call->next_rip == 0 || call->next_rip != access->rip)))
            continue;
        if (call->rsp == access->rsp) {
            facts->request.resume = RESUME_EXACT;
            facts->resumed = call;
            return;
        }
        facts->request.resume = RESUME_MOVED;
    }
}

static bool is_code(const struct portion *portion, uint64_t address)
{
    const struct portion_pages *pages = portion_pages_at(portion, address);

    return pages != NULL && pages->inside & MEZZ_EPT_EXECUTE;
}

static enum portion_leave how_it_leaves(const struct facts *facts)
{
    const struct guard_access *access = facts->access;
    const struct guard_call *call = facts->from_call;

    if (access->cpl == 0)
        return access->frame_of_interrupt.known && access->frame_of_interrupt.trusted &&
                       access->frame_of_interrupt.cpl == 3 && call != NULL &&
                       is_code(facts->from->portion, access->frame_of_interrupt.rip)
                   ? LEAVE_INTERRUPT
                   : LEAVE_FORGED;
    if (call == NULL)
        return LEAVE_OTHER;
    if (access->rsp == call->entry_rsp + 8 && call->return_known &&
        access->rip == call->return_address)
        return LEAVE_RETURN;
    /* Deeper than at the entry: what lies there now, the portion has pushed. */
    if (access->stack_known && access->after_call && access->rsp < call->entry_rsp &&
        is_code(facts->from->portion, access->stack))
        return LEAVE_CALL;
    return LEAVE_OTHER;
}

static struct guard_call *free_call(struct guard_binding *binding)
{
    struct guard_call *oldest = NULL;

    for (size_t i = 0; i < GUARD_CALLS; i++) {
        struct guard_call *call = &binding->call[i];

        if (!call->used)
            return call;
        if (call->waits && (oldest == NULL || call->since < oldest->since))
            oldest = call;
    }
    return oldest;
}

/* One of its own pages, not of those that it shares. */
static bool has_own(const struct portion *portion, uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < portion->own; i++)
        if (first < portion->pages[i].address + portion->pages[i].length &&
            last >= portion->pages[i].address)
            return true;
    return false;
}

/* What lies at the address that the call was entered with; false: nothing. */
static bool read_return(struct guard *guard, const struct facts *facts, uint64_t *address)
{
    const struct guard_memory *memory = guard->memory;
    const uint64_t at = facts->resumed->entry_rsp;
    uint64_t frame;

    if (memory->translate(memory->context, facts->access->cr3, at & ~(PAGE_SIZE - 1), &frame) !=
            0 ||
        memory->read(memory->context, frame & ~(PAGE_SIZE - 1), guard->seen) != 0)
        return false;
    memcpy(address, guard->seen + at % PAGE_SIZE, sizeof(*address));
    return true;
}

/* Where the portion is come back to its stack pointer is its own affair, but the address that it
 * was called from has to be there still. If there is no page now it will be looked at after the
 * fault that this causes. */
static enum portion_stack find_stack(struct guard *guard, const struct facts *facts)
{
    const struct guard_access *access = facts->access;
    const uint64_t below = access->rsp < PAGE_SIZE ? 0 : access->rsp - PAGE_SIZE;
    uint64_t address;

    if (facts->resumed != NULL)
        return facts->resumed->return_matters && read_return(guard, facts, &address) &&
                       address != facts->resumed->return_address
                   ? STACK_RETURNS_INSIDE
                   : STACK_OUTSIDE;
    if (access->rsp <= UINT64_MAX - 7 && has_own(facts->portion, below, access->rsp + 7))
        return STACK_INSIDE;
    return !access->stack_known || access->rsp % sizeof(address) != 0 ||
                   has_own(facts->portion, access->stack, access->stack)
               ? STACK_RETURNS_INSIDE
               : STACK_OUTSIDE;
}

static void find_target_facts(struct guard *guard, struct facts *facts)
{
    struct decision_request *request = &facts->request;
    const struct guard_access *access = facts->access;
    uint32_t rights = guard_page_rights(facts->portion, facts->page);

    request->on_refusal = facts->portion->on_refusal;
    request->tolerated = access->allowed ? UINT64_MAX : facts->portion->tolerated;
    request->writable = rights & MEZZ_EPT_WRITE;
    request->executable = rights & MEZZ_EPT_EXECUTE;
    request->other_mode = access->other_mode;
    request->alias = !access->linear_known || (access->linear & ~(PAGE_SIZE - 1)) !=
                                                  guard_page_address(facts->portion, facts->page);
    request->gone = facts->owner != NULL && facts->owner != facts->from && request->writable &&
                    !guard_maps(guard, facts->owner, facts->page);
    facts->own_view = guard_find_binding(guard, facts->portion, access->cr3);
    if (facts->owner != NULL && facts->owner == facts->from)
        request->target = view_of(guard, facts->owner);
    else if (facts->own_view != NULL)
        request->target = view_of(guard, facts->own_view);
    else
        request->target = UNBOUND(facts->portion);
    /* Another space's frame through a view of its own: never "inside". */
    if (request->target == request->from && facts->owner != facts->from)
        request->target = UNBOUND(facts->portion);
    request->identity = identify(guard, facts);
    request->entry = portion_is_entry(facts->portion, access->rip);
    find_resume(facts);
    if (access->access == ACCESS_FETCH && access->cpl == 3)
        request->stack = find_stack(guard, facts);
    request->room = facts->own_view == NULL || free_call(facts->own_view) != NULL;
    request->scan = facts->portion->patterns != NULL ? SCAN_DUE : SCAN_CLEAN;
}

static void find_facts(struct guard *guard, const struct guard_vcpu *vcpu,
                       const struct guard_access *access, struct facts *facts)
{
    *facts = (struct facts){.access = access};
    facts->request.access = access->access;
    facts->request.cpl = access->cpl;
    facts->from = current(guard, vcpu);
    if (facts->from != NULL && vcpu->call > 0 && vcpu->call <= GUARD_CALLS)
        facts->from_call = &facts->from->call[vcpu->call - 1];
    facts->request.from = view_of(guard, facts->from);
    find_owner(guard, facts);
    if (facts->portion != NULL)
        find_target_facts(guard, facts);
    if (facts->from != NULL)
        facts->request.leave = how_it_leaves(facts);
}

static enum portion_scan scan(struct guard *guard, struct facts *facts)
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
        if (guard_page_rights(portion, page) & MEZZ_EPT_EXECUTE)
            pages[count++] = (struct pattern_page){
                guard_page_address(portion, page), frame[page],
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
static void leave(struct facts *facts, const struct decision *decision)
{
    const struct guard_access *access = facts->access;
    struct guard_call *call = facts->from_call;

    if (call == NULL)
        return;
    if (decision->ends || !decision->remember) {
        *call = (struct guard_call){.used = false};
        return;
    }
    call->waits = true;
    call->kept = false;
    if (access->cpl == 0) {
        call->rip = access->frame_of_interrupt.rip;
        call->next_rip = access->frame_of_interrupt.next_rip;
        call->rsp = access->frame_of_interrupt.rsp;
        call->kept = access->keep != NULL;
        call->system_call = access->system_call;
        if (call->kept)
            call->registers = *access->keep;
    } else {
        call->rip = access->stack;
        call->next_rip = 0;
        call->rsp = access->rsp + 8;
    }
}

static bool enter(struct guard *guard, struct guard_vcpu *vcpu, struct facts *facts,
                  struct guard_outcome *outcome)
{
    const struct guard_access *access = facts->access;
    struct guard_binding *binding = facts->own_view;
    struct guard_call *call = facts->resumed;

    if (binding == NULL) {
        binding = guard_bind(guard, facts->portion, access->cr3);
        if (binding == NULL)
            return false;
        binding->cache = facts->fresh;
        facts->fresh = (struct pattern_cache){.page = NULL};
    }
    if (call == NULL || (outcome->decision.reason != REASON_RESUME_POINT &&
                         outcome->decision.reason != REASON_RETURN_ADDRESS)) {
        call = free_call(binding);
        if (call == NULL)
            return false;
        outcome->forgot = call->used;
        *call = (struct guard_call){.used = true,
                                    .entry_rsp = access->rsp,
                                    .return_address = access->stack,
                                    .return_known = access->stack_known,
                                    .return_matters = outcome->decision.reason == REASON_ENTRY};
    } else if (call->kept) {
        outcome->restore = true;
        outcome->result = call->system_call;
        outcome->registers = call->registers;
    }
    call->waits = false;
    call->since = ++guard->clock;
    leave(facts, &outcome->decision);
    *vcpu = (struct guard_vcpu){view_of(guard, binding), (uint32_t)(call - binding->call) + 1,
                                binding->serial};
    outcome->decision.to = vcpu->view;
    return true;
}

static void carry_out(struct guard *guard, struct guard_vcpu *vcpu, struct facts *facts,
                      struct guard_outcome *outcome)
{
    if (outcome->decision.to != 0) {
        if (enter(guard, vcpu, facts, outcome))
            return;
        outcome->decision = (struct decision){
            .verdict = VERDICT_ERROR, .reason = REASON_TOO_MANY_CALLS, .refused = true};
        return;
    }
    leave(facts, &outcome->decision);
    *vcpu = (struct guard_vcpu){.view = 0};
}

bool guard_moves_pages(struct guard *guard, const struct guard_vcpu *vcpu,
                       const struct guard_access *access)
{
    struct decision decision;
    struct facts facts;

    /* Where there is no room it would look for views whose program is gone. */
    if (guard_find_free(guard) == NULL)
        return true;
    find_facts(guard, vcpu, access, &facts);
    decision = decide(&facts.request);
    return decision.verdict == VERDICT_RELEASE ||
           ((decision.verdict == VERDICT_SWITCH || decision.verdict == VERDICT_SCAN) &&
            facts.portion != NULL && facts.own_view == NULL);
}

void guard_judge(struct guard *guard, struct guard_vcpu *vcpu, const struct guard_access *access,
                 struct guard_outcome *outcome)
{
    struct facts facts;

    *outcome = (struct guard_outcome){.from = vcpu->view};
    for (;;) {
        find_facts(guard, vcpu, access, &facts);
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
        guard_release(guard,
                      outcome->decision.reason == REASON_OWNER_GONE ? facts.owner : facts.own_view,
                      outcome->decision.reason);
    }
    outcome->rule = facts.rule;
    outcome->portion = facts.portion;
    if (outcome->portion == NULL && facts.from != NULL)
        outcome->portion = facts.from->portion;
    if (outcome->decision.verdict == VERDICT_SWITCH)
        carry_out(guard, vcpu, &facts, outcome);
    else if (current(guard, vcpu) == NULL)
        *vcpu = (struct guard_vcpu){.view = 0};
    pattern_cache_destroy(&facts.fresh);
}

void guard_refuse(struct guard *guard, struct guard_vcpu *vcpu, const struct guard_access *access,
                  enum decision_reason reason, struct guard_outcome *outcome)
{
    struct guard_binding *binding = current(guard, vcpu);
    struct decision_request request = {.access = access->access, .cpl = access->cpl};

    if (outcome->portion != NULL) {
        request.on_refusal = outcome->portion->on_refusal;
        request.tolerated = outcome->portion->tolerated;
    }
    if (binding != NULL && vcpu->call > 0 && vcpu->call <= GUARD_CALLS)
        binding->call[vcpu->call - 1] = (struct guard_call){.used = false};
    *vcpu = (struct guard_vcpu){.view = 0};
    outcome->restore = false;
    outcome->decision = decision_refuse(&request, reason);
}

void guard_describe(const struct guard *guard, const struct guard_access *access,
                    const struct guard_outcome *outcome, struct guard_event *event)
{
    static const char *const names[ACCESS_KINDS] = {"read", "write", "fetch"};
    const struct portion *portion = outcome->portion;
    const struct program_symbol *symbol = NULL;

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
    event->more[6] = (struct log_field){
        "released", outcome->released > 0 ? decision_reason_name(outcome->released_for) : "", 0};
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
        .more_count = outcome->released > 0 ? 7 : 6};
}
