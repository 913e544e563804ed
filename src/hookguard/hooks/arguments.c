/* SPDX-License-Identifier: Apache-2.0 */
/* What a call from outside may name. The agent looks at addresses; but rights are of frames, and a
 * kernel may have mapped the agent's to the caller at another address. The function, which has the
 * agent's view, would read and write there what its caller cannot; and read the hook for him. */
#include <errno.h>
#include <string.h>

#include "hookguard/hooks/judgement.h"
#include "host/hot.h"
#include "mezz/ept.h"

#define DATA_RIGHTS (MEZZ_EPT_READ | MEZZ_EPT_WRITE)
#define RCX         2U

_Static_assert(MEZZ_GUARD_ARGUMENTS == 6, "hook_give_arguments");
static const unsigned int registers[MEZZ_GUARD_ARGUMENTS] = {HOOK_RDI, HOOK_RSI, HOOK_RDX,
                                                             RCX,      8,        9};

/* --- frames that a security view has more of, or otherwise --- */

/* A guarded page has other bytes there: the hook, which its callers do not see. */
static bool has_more(const struct hook_page *page)
{
    return page->kind == HOOK_PAGE_GUARDED ||
           (page->secure_rights & ~page->default_rights & DATA_RIGHTS) != 0;
}

static void add(struct hooks *hooks, uint64_t frame)
{
    const uint64_t number = frame / PAGE_SIZE % HOOK_CLOSED_BITS;

    hooks->closed[number / 64] |= 1ULL << number % 64;
}

/* Each frame of which the default view has less, in a table that tells most others at once. */
COLD static void find_closed(struct hooks *hooks)
{
    const struct hook_plan *plan = hooks->plan;

    memset(hooks->closed, 0, sizeof(hooks->closed));
    for (size_t i = 0; i < hooks->claims; i++)
        if (has_more(&plan->page[hooks->claim[i].page]))
            add(hooks, hooks->claim[i].frame);
    for (size_t i = 0; i < HOOK_VIEWS; i++)
        for (size_t p = 0; hooks->binding[i].used && p < plan->pages; p++)
            if (has_more(&plan->page[p]))
                add(hooks, hooks->binding[i].frame[p]);
    hooks->closed_version = hooks->version;
}

COLD static bool is_listed(const struct hooks *hooks, uint64_t frame)
{
    const struct hook_plan *plan = hooks->plan;
    const struct hook_claimed *claim = hook_find_claim(hooks, frame);

    if (claim != NULL && has_more(&plan->page[claim->page]))
        return true;
    for (size_t i = 0; i < HOOK_VIEWS; i++)
        for (size_t p = 0; hooks->binding[i].used && p < plan->pages; p++)
            if (hooks->binding[i].frame[p] == frame && has_more(&plan->page[p]))
                return true;
    return false;
}

HOT bool hook_is_closed(struct hooks *hooks, uint64_t frame)
{
    const uint64_t number = frame / PAGE_SIZE % HOOK_CLOSED_BITS;

    if (hooks->closed_version != hooks->version)
        find_closed(hooks);
    return hooks->closed[number / 64] >> number % 64 & 1 && is_listed(hooks, frame);
}

/* --- arguments --- */

uint64_t hook_given_argument(const uint64_t *gpr, size_t i)
{
    return gpr[registers[i]];
}

HOT void hook_give_arguments(const struct hook_function *function, struct hook_registers *given)
{
    const size_t count = function->arguments;

    /* By no table, which would be in a page of its own. */
    given->gpr[HOOK_RDI] = count > 0 ? given->gpr[HOOK_RDI] : 0;
    given->gpr[HOOK_RSI] = count > 1 ? given->gpr[HOOK_RSI] : 0;
    given->gpr[HOOK_RDX] = count > 2 ? given->gpr[HOOK_RDX] : 0;
    given->gpr[RCX] = count > 3 ? given->gpr[RCX] : 0;
    given->gpr[8] = count > 4 ? given->gpr[8] : 0;
    given->gpr[9] = count > 5 ? given->gpr[9] : 0;
}

/* Bytes from the argument on that the agent or the function may touch, if the agent does not deny
 * the call for their number. */
static uint64_t size_of(const struct mezz_guard_argument *declared, const uint64_t *gpr)
{
    const uint64_t limit = declared->limit == 0 ? MEZZ_GUARD_MEMORY_LIMIT : declared->limit;
    uint64_t size = limit;

    if (declared->kind == MEZZ_GUARD_NUMBER)
        return 0;
    if (declared->kind == MEZZ_GUARD_VALUE)
        return 1;
    if (declared->kind != MEZZ_GUARD_CSTRING && declared->length_in < MEZZ_GUARD_ARGUMENTS)
        size = gpr[registers[declared->length_in]];
    return size < limit ? size : limit;
}

/* At its own address the agent knows its pages by itself. */
static bool is_at_home(const struct hooks *hooks, const struct hook_binding *binding,
                       uint64_t linear, uint64_t frame)
{
    const struct hook_page *page = hook_page_at(hooks->plan, linear);

    return page != NULL && page->kind != HOOK_PAGE_GUARDED && page->kind != HOOK_PAGE_LIBRARY &&
           binding->frame[page - hooks->plan->page] == frame;
}

/* What is not mapped makes a fault, which ends the call. */
static enum hook_reason check_range(struct hooks *hooks, const struct hook_binding *binding,
                                    uint64_t from, uint64_t size)
{
    const struct hook_memory *memory = hooks->memory;
    const uint64_t last = from + size - 1 < from ? UINT64_MAX : from + size - 1;
    uint64_t frame;
    int code;

    if (size == 0)
        return HOOK_REASON_NONE;
    for (uint64_t page = PAGE_OF(from); page - PAGE_OF(from) <= last - PAGE_OF(from);
         page += PAGE_SIZE) {
        code = memory->translate(memory->context, binding->cr3, page, &frame);
        if (code == -EACCES)
            return HOOK_REASON_BAD_TABLES;
        if (code == 0 && hook_is_closed(hooks, frame) && !is_at_home(hooks, binding, page, frame))
            return HOOK_REASON_BAD_ARGUMENT;
    }
    return HOOK_REASON_NONE;
}

HOT enum hook_reason hook_check_arguments(struct hooks *hooks, const struct hook_binding *binding)
{
    const struct hook_function *function = binding->function;
    const uint64_t *gpr = binding->entry.gpr;
    enum hook_reason reason = HOOK_REASON_NONE;

    for (size_t i = 0; function != NULL && i < function->arguments && reason == HOOK_REASON_NONE;
         i++)
        reason =
            check_range(hooks, binding, gpr[registers[i]], size_of(&function->argument[i], gpr));
    return reason;
}
