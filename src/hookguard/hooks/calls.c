/* SPDX-License-Identifier: Apache-2.0 */
#include "hookguard/hooks/calls.h"

#include <string.h>

#include "hookguard/hooks/judgement.h"
#include "host/hot.h"

HOT static void fetch_inside(const struct hook_judgement *it)
{
    const struct hook_access *access = it->access;

    if (access->cpl == 0 && access->interrupt.known && it->from->calls)
        hook_go_away(it);
    else if (access->cpl == 0 || access->registers.rip != it->hooks->plan->door)
        hook_abandon(it, it->from, HOOK_REASON_OUTSIDE);
    else if (!hook_asks(it))
        hook_leave(it);
}

COLD static void fetch_outside(const struct hook_judgement *it)
{
    const struct hook_access *access = it->access;
    const struct hook_function *function;

    if (access->cpl == 0) {
        hook_refuse(it, HOOK_REASON_KERNEL_FETCH);
        return;
    }
    if (!access->linear_known || PAGE_OF(access->linear) != it->page->linear) {
        hook_refuse(it, HOOK_REASON_ALIAS);
        return;
    }
    if (it->page->kind == HOOK_PAGE_DOOR) {
        hook_come_back(it);
        return;
    }
    if (it->page->kind != HOOK_PAGE_GUARDED) {
        hook_refuse(it, HOOK_REASON_AGENT_FETCH);
        return;
    }
    function = hook_function_of_entry(it->hooks->plan, access->registers.rip);
    if (function != NULL && access->linear == access->registers.rip) {
        hook_enter(it, function);
        return;
    }
    it->outcome->function = hook_function_near(it->hooks->plan, access->registers.rip);
    hook_refuse(it, HOOK_REASON_NOT_ENTRY);
}

static size_t page_number(const struct hooks *hooks, uint64_t linear)
{
    return (size_t)(hook_page_at(hooks->plan, linear) - hooks->plan->page);
}

/* Whether the gate is one of the planner's: at an entry, on the page that has it. Where all pages
 * are as they were, they are those that the binding was made of. */
HOT static const struct hook_function *gate_function(const struct hook_judgement *it, uint64_t site)
{
    const struct hook_memory *memory = it->hooks->memory;
    const struct hook_function *function = hook_function_of_entry(it->hooks->plan, site);
    uint64_t frame;

    if (function == NULL || it->hooks->plan->defences & HOOK_API_NX)
        return NULL;
    if (it->intact)
        return function;
    if (memory->translate(memory->context, it->access->cr3, PAGE_OF(site), &frame) != 0)
        return NULL;
    return hook_settle(it->hooks, frame, page_number(it->hooks, site)) ? function : NULL;
}

/* Without the check of sites a gate anywhere switches, as a processor's VMFUNC does. */
COLD static void stray(const struct hook_judgement *it)
{
    struct hook_binding *binding;
    enum hook_reason reason = hook_find_space(it, &binding);

    if (reason == HOOK_REASON_NONE && it->access->other_mode)
        reason = HOOK_REASON_NOT_64_BIT;
    if (reason != HOOK_REASON_NONE) {
        hook_refuse(it, reason);
        return;
    }
    binding->calls = binding->stray = true;
    binding->function = NULL;
    binding->entry = it->access->registers;
    hook_enter_view(it, binding);
    hook_go_on(it, HOOK_REASON_CALL, NULL);
}

HOT static void gate(const struct hook_judgement *it)
{
    const struct hook_function *function =
        gate_function(it, it->access->registers.rip - HOOK_GATE_BYTES);
    bool wraps = !hook_has(it, HOOK_GATE_INDEX) && it->access->index != HOOK_TRAP_INDEX;

    if (it->from != NULL) {
        hook_abandon(it, it->from, HOOK_REASON_STRAY_GATE);
        return;
    }
    if (it->access->index == HOOK_TRAP_INDEX &&
        hook_page_at(it->hooks->plan, it->access->registers.rip - 1) != NULL) {
        it->outcome->function = hook_function_near(it->hooks->plan, it->access->registers.rip - 1);
        hook_refuse(it, HOOK_REASON_NOT_ENTRY);
        return;
    }
    if (it->access->index != HOOK_INDEX && !wraps)
        hook_refuse(it, HOOK_REASON_BAD_INDEX);
    else if (function != NULL && it->access->cpl != 0)
        hook_enter(it, function);
    else if (it->access->cpl != 0 &&
             (!hook_has(it, HOOK_GATE_SITES) || it->access->index != HOOK_INDEX))
        stray(it);
    else
        hook_refuse(it, HOOK_REASON_STRAY_GATE);
}

/* A function that makes a system call may have what it passes on its stack, which is the agent's:
 * the kernel gets at what an argument points to there, as long as it serves that call. */
static bool is_passed_to_kernel(const struct hook_judgement *it)
{
    static const unsigned int arguments[] = {HOOK_RDI, HOOK_RSI, HOOK_RDX, 8, 9, 10};
    const struct hook_binding *binding = hook_find_binding(it->hooks, it->access->cr3);
    uint64_t linear = it->page->linear + it->access->offset;

    if (it->access->cpl != 0 || binding == NULL || !binding->waits || !binding->system_call ||
        linear < it->hooks->plan->stack || linear >= it->hooks->plan->stack_end ||
        linear < binding->kept.gpr[HOOK_RSP] ||
        binding->frame[it->page - it->hooks->plan->page] != it->access->frame)
        return false;
    for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++)
        if (linear - binding->kept.gpr[arguments[i]] < MEZZ_GUARD_COPY_LIMIT)
            return true;
    return false;
}

COLD static void data(const struct hook_judgement *it)
{
    bool write = it->access->kind == HOOK_WRITE;

    if (it->page == NULL)
        it->outcome->action = HOOK_NOT_OURS;
    else if (is_passed_to_kernel(it))
        it->outcome->action = HOOK_SERVE;
    else if (it->page->kind == HOOK_PAGE_GUARDED || it->page->kind == HOOK_PAGE_LIBRARY)
        hook_refuse(it, write ? HOOK_REASON_CODE_WRITE : HOOK_REASON_AGENT_READ);
    else
        hook_refuse(it, write ? HOOK_REASON_AGENT_WRITE : HOOK_REASON_AGENT_READ);
}

static const struct hook_page *find_page(const struct hooks *hooks, uint64_t frame)
{
    const struct hook_claimed *claim = hook_find_claim(hooks, frame);

    if (claim != NULL)
        return &hooks->plan->page[claim->page];
    for (size_t i = 0; i < HOOK_VIEWS; i++)
        for (size_t p = 0; hooks->binding[i].used && p < hooks->plan->pages; p++)
            if (hooks->binding[i].frame[p] == frame)
                return &hooks->plan->page[p];
    return NULL;
}

/* Of those with the same bytes it is the one that is fetched from. */
COLD static const struct hook_page *find_fetched_page(struct hooks *hooks,
                                                      const struct hook_access *access)
{
    const struct hook_page *page = find_page(hooks, PAGE_OF(access->frame));
    const struct hook_page *meant;

    if (page == NULL || !access->linear_known || page->linear == PAGE_OF(access->linear))
        return page;
    meant = hook_page_at(hooks->plan, access->linear);
    return meant != NULL &&
                   hook_settle(hooks, PAGE_OF(access->frame), page_number(hooks, access->linear))
               ? meant
               : page;
}

HOT static void look_at_space(struct hook_judgement *it)
{
    it->space = hook_find_binding(it->hooks, it->access->cr3);
    it->intact =
        it->space != NULL && hook_has(it, HOOK_MAPPING_CHECK) && hook_intact(it->hooks, it->space);
}

COLD bool hook_moves_pages(struct hooks *hooks, const struct hook_vcpu *vcpu,
                           const struct hook_access *access)
{
    const struct hook_binding *binding;

    if ((access->kind != HOOK_FETCH && access->kind != HOOK_GATE) ||
        hook_binding_of(hooks, vcpu) != NULL)
        return false;
    binding = hook_find_binding(hooks, access->cr3);
    return binding == NULL || !hook_intact(hooks, binding);
}

HOT void hook_judge(struct hooks *hooks, struct hook_vcpu *vcpu, const struct hook_access *access,
                    struct hook_outcome *outcome)
{
    struct hook_judgement it = {.hooks = hooks, .vcpu = vcpu, .access = access, .outcome = outcome};

    memset(outcome, 0, offsetof(struct hook_outcome, registers));
    outcome->from = vcpu->view;
    outcome->caller = access->registers.rip;
    it.from = hook_binding_of(hooks, vcpu);
    if (it.from == NULL)
        hook_enter_view(&it, NULL);
    if (access->kind == HOOK_GATE) {
        look_at_space(&it);
        gate(&it);
    } else if (access->kind == HOOK_FETCH && it.from != NULL) {
        fetch_inside(&it);
    } else if (access->kind == HOOK_FETCH) {
        it.page = find_fetched_page(hooks, access);
        look_at_space(&it);
        if (it.page != NULL)
            fetch_outside(&it);
    } else {
        it.page = find_page(hooks, PAGE_OF(access->frame));
        data(&it);
    }
    outcome->to = vcpu->view;
}
