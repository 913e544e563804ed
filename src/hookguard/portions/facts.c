/* SPDX-License-Identifier: Apache-2.0 */
/* What an access is: all that is found out before it is decided on. */
#include "hookguard/portions/facts.h"

#include <string.h>

#include "host/memory.h"
#include "mezz/ept.h"

/* decide() only compares who is who: views are 1 to PORTION_GUARD_VIEWS, and a portion that no view
 * has yet is a number past them. */
#define UNBOUND(portion) (PORTION_GUARD_VIEWS + (portion)->id)

struct portion_guard_binding *portion_guard_current(struct portion_guard *guard,
                                                    const struct portion_guard_vcpu *vcpu)
{
    struct portion_guard_binding *binding;

    if (vcpu->view == 0 || vcpu->view > PORTION_GUARD_VIEWS)
        return NULL;
    binding = &guard->binding[vcpu->view - 1];
    return binding->portion != NULL && binding->serial == vcpu->serial ? binding : NULL;
}

uint32_t portion_guard_view_of(const struct portion_guard *guard,
                               const struct portion_guard_binding *binding)
{
    return binding == NULL ? 0 : (uint32_t)(binding - guard->binding) + 1;
}

static bool lives_in(struct portion_guard *guard, const struct portion *portion, uint64_t cr3)
{
    return portion_guard_find_binding(guard, portion, cr3) != NULL ||
           portion_guard_examine(guard, portion, cr3) == IDENTITY_NEW;
}

/* Several portions may have such a page: the one that this address space has, and of two, of which
 * the one is a part of the other, the larger one; or else the first. */
static void find_claim(struct portion_guard *guard, struct portion_guard_facts *facts,
                       uint64_t frame)
{
    const struct portion_guard_claimed *best = NULL;
    bool lives = false;

    for (size_t i = 0; i < guard->claims; i++) {
        const struct portion_guard_claimed *claim = &guard->claim[i];

        if (claim->frame != frame)
            continue;
        if (best == NULL) {
            best = claim;
            continue;
        }
        lives = lives || lives_in(guard, best->portion, facts->access->cr3);
        if (lives_in(guard, claim->portion, facts->access->cr3) &&
            (!lives || claim->portion->own_pages > best->portion->own_pages)) {
            best = claim;
            lives = true;
        }
    }
    if (best == NULL)
        return;
    facts->portion = best->portion;
    facts->page = best->page;
}

/* Whose the frame is: of the view that the vCPU is in, else of its address space, else anyone's. */
static void find_owner(struct portion_guard *guard, struct portion_guard_facts *facts)
{
    uint64_t frame = facts->access->frame & ~(PAGE_SIZE - 1);
    int best = -1;

    for (size_t i = 0; i < guard->bound; i++) {
        struct portion_guard_binding *binding = &guard->binding[i];
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
    if (facts->portion == NULL)
        find_claim(guard, facts, frame);
}

static enum portion_identity identify(struct portion_guard *guard,
                                      const struct portion_guard_facts *facts)
{
    if (facts->access->access != ACCESS_FETCH) {
        if (facts->owner == NULL)
            return IDENTITY_NEW;
        return facts->owner->cr3 == facts->access->cr3 ? IDENTITY_BOUND : IDENTITY_OTHER;
    }
    if (facts->own_view != NULL)
        return portion_guard_intact(guard, facts->own_view) ? IDENTITY_BOUND : IDENTITY_REMAPPED;
    if (facts->owner != NULL && facts->request.writable)
        return IDENTITY_OTHER;
    return portion_guard_examine(guard, facts->portion, facts->access->cr3);
}

static void find_resume(struct portion_guard_facts *facts)
{
    const struct portion_guard_access *access = facts->access;

    for (size_t i = 0; facts->own_view != NULL && i < PORTION_GUARD_CALLS; i++) {
        struct portion_guard_call *call = &facts->own_view->call[i];

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

/* Out of the portion: where to, and what the stack is then. */
struct way_out {
    uint64_t rip;
    uint64_t rsp;
    bool stack_known;
    uint64_t stack;
    bool after_call;
};

static enum portion_leave how_it_goes(const struct portion_guard_facts *facts,
                                      const struct way_out *way)
{
    const struct portion_guard_call *call = facts->from_call;

    if (call == NULL)
        return LEAVE_OTHER;
    if (way->rsp == call->entry_rsp + 8 && call->return_known && way->rip == call->return_address)
        return LEAVE_RETURN;
    /* Deeper than at the entry: what lies there now, the portion has pushed. */
    if (way->stack_known && way->after_call && way->rsp < call->entry_rsp &&
        is_code(facts->from->portion, way->stack))
        return LEAVE_CALL;
    return LEAVE_OTHER;
}

/* The kernel may also come right after the portion's last instruction, by a single step over its
 * `ret` or an interrupt then: the portion has gone to where the frame leads. */
static enum portion_leave how_it_leaves(const struct portion_guard_facts *facts)
{
    const struct portion_guard_access *access = facts->access;
    const struct way_out now = {access->rip, access->rsp, access->stack_known, access->stack,
                                access->after_call};
    const struct way_out before = {access->frame_of_interrupt.rip, access->frame_of_interrupt.rsp,
                                   access->frame_of_interrupt.stack_known,
                                   access->frame_of_interrupt.stack,
                                   access->frame_of_interrupt.after_call};

    if (access->cpl != 0)
        return how_it_goes(facts, &now);
    if (!access->frame_of_interrupt.known || !access->frame_of_interrupt.trusted ||
        access->frame_of_interrupt.cpl != 3 || facts->from_call == NULL)
        return LEAVE_FORGED;
    if (is_code(facts->from->portion, before.rip))
        return LEAVE_INTERRUPT;
    return access->system_call ? LEAVE_FORGED : how_it_goes(facts, &before);
}

struct portion_guard_call *portion_guard_free_call(struct portion_guard_binding *binding)
{
    struct portion_guard_call *oldest = NULL;

    for (size_t i = 0; i < PORTION_GUARD_CALLS; i++) {
        struct portion_guard_call *call = &binding->call[i];

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

/* Whether the address that the call was entered with is still there. If there is no page now it
 * will be looked at after the fault that this causes; where nobody but the processor can read, as
 * in a device, may be anything. */
static bool returns_as_before(struct portion_guard *guard, const struct portion_guard_facts *facts)
{
    const struct portion_guard_memory *memory = guard->memory;
    const uint64_t at = facts->resumed->entry_rsp;
    uint64_t frame;

    if (memory->translate(memory->context, facts->access->cr3, at & ~(PAGE_SIZE - 1), &frame) != 0)
        return true;
    return memory->read(memory->context, frame & ~(PAGE_SIZE - 1), guard->seen) == 0 &&
           memcmp(guard->seen + at % PAGE_SIZE, &facts->resumed->return_address,
                  sizeof(facts->resumed->return_address)) == 0;
}

/* Where the portion is come back to its stack pointer is its own affair, but the address that it
 * was called from has to be there still. */
static enum portion_stack find_stack(struct portion_guard *guard,
                                     const struct portion_guard_facts *facts)
{
    const struct portion_guard_access *access = facts->access;
    const uint64_t below = access->rsp < PAGE_SIZE ? 0 : access->rsp - PAGE_SIZE;

    if (facts->resumed != NULL)
        return facts->resumed->return_matters && !returns_as_before(guard, facts)
                   ? STACK_RETURNS_INSIDE
                   : STACK_OUTSIDE;
    if (access->rsp <= UINT64_MAX - 7 && has_own(facts->portion, below, access->rsp + 7))
        return STACK_INSIDE;
    return !access->stack_known || access->rsp % sizeof(access->stack) != 0 ||
                   has_own(facts->portion, access->stack, access->stack)
               ? STACK_RETURNS_INSIDE
               : STACK_OUTSIDE;
}

static void find_target_facts(struct portion_guard *guard, struct portion_guard_facts *facts)
{
    struct decision_request *request = &facts->request;
    const struct portion_guard_access *access = facts->access;
    uint32_t rights = portion_guard_page_rights(facts->portion, facts->page);

    request->on_refusal = facts->portion->on_refusal;
    request->tolerated = facts->portion->tolerated | access->allowed;
    request->writable = rights & MEZZ_EPT_WRITE;
    request->executable = rights & MEZZ_EPT_EXECUTE;
    request->other_mode = access->other_mode;
    request->alias =
        !access->linear_known || (access->linear & ~(PAGE_SIZE - 1)) !=
                                     portion_guard_page_address(facts->portion, facts->page);
    request->gone = facts->owner != NULL && facts->owner != facts->from && request->writable &&
                    !portion_guard_maps(guard, facts->owner, facts->page);
    facts->own_view = portion_guard_find_binding(guard, facts->portion, access->cr3);
    if (facts->owner != NULL && facts->owner == facts->from)
        request->target = portion_guard_view_of(guard, facts->owner);
    else if (facts->own_view != NULL)
        request->target = portion_guard_view_of(guard, facts->own_view);
    else
        request->target = UNBOUND(facts->portion);
    /* Another space's frame through a view of its own: never "inside". */
    if (request->target == request->from && facts->owner != facts->from)
        request->target = UNBOUND(facts->portion);
    request->identity = identify(guard, facts);
    request->altered = access->access == ACCESS_FETCH && request->identity == IDENTITY_NEW &&
                       portion_guard_is_altered(guard, facts->portion);
    request->entry = portion_is_entry(facts->portion, access->rip);
    find_resume(facts);
    if (access->access == ACCESS_FETCH && access->cpl == 3)
        request->stack = find_stack(guard, facts);
    request->room = facts->own_view == NULL || portion_guard_free_call(facts->own_view) != NULL;
    request->scan = facts->portion->patterns != NULL ? SCAN_DUE : SCAN_CLEAN;
}

void portion_guard_find_facts(struct portion_guard *guard, const struct portion_guard_vcpu *vcpu,
                              const struct portion_guard_access *access,
                              struct portion_guard_facts *facts)
{
    *facts = (struct portion_guard_facts){.access = access};
    facts->request.access = access->access;
    facts->request.cpl = access->cpl;
    facts->from = portion_guard_current(guard, vcpu);
    if (facts->from != NULL && vcpu->call > 0 && vcpu->call <= PORTION_GUARD_CALLS)
        facts->from_call = &facts->from->call[vcpu->call - 1];
    facts->request.from = portion_guard_view_of(guard, facts->from);
    find_owner(guard, facts);
    if (facts->portion != NULL)
        find_target_facts(guard, facts);
    if (facts->from != NULL)
        facts->request.leave = how_it_leaves(facts);
}
