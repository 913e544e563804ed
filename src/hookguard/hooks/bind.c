/* SPDX-License-Identifier: Apache-2.0 */
/* Which address spaces have a security view, and of which frames. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hookguard/hooks/state.h"
#include "host/hot.h"
#include "host/memory.h"

bool hook_is_code(const struct hook_page *page)
{
    return page->kind != HOOK_PAGE_DATA && page->kind != HOOK_PAGE_EXCHANGE;
}

/* Now, as there may be no memory to be had when a program makes its first call. */
static int make_room(struct hooks *hooks)
{
    for (size_t i = 0; i < HOOK_VIEWS; i++) {
        struct hook_binding *binding = &hooks->binding[i];

        binding->frame = malloc(hooks->plan->pages * sizeof(*binding->frame));
        binding->code = malloc(HOOK_EXECUTABLE * sizeof(*binding->code));
        if (binding->frame == NULL || binding->code == NULL)
            return -ENOMEM;
    }
    return 0;
}

int hooks_create(struct hooks **created, const struct hook_plan *plan,
                 const struct hook_memory *memory, enum portion_refusal on_refusal)
{
    struct hooks *hooks = calloc(1, sizeof(*hooks));
    const struct hook_page *page;

    if (hooks == NULL)
        return -ENOMEM;
    hooks->plan = plan;
    hooks->memory = memory;
    hooks->on_refusal = on_refusal;
    if (make_room(hooks) != 0) {
        hooks_destroy(hooks);
        return -ENOMEM;
    }
    if (plan->pages > 0) {
        hooks->pages_from = plan->page[0].linear;
        hooks->pages_length = plan->page[plan->pages - 1].linear + PAGE_SIZE - hooks->pages_from;
    }
    page = hook_page_at(plan, plan->nested);
    hooks->nested_linear = plan->nested & ~(PAGE_SIZE - 1);
    hooks->nested_page = page == NULL ? plan->pages : (size_t)(page - plan->page);
    *created = hooks;
    return 0;
}

void hooks_destroy(struct hooks *hooks)
{
    if (hooks == NULL)
        return;
    /* Nothing is wiped: the L2 is gone, and its memory L1's again. */
    for (size_t i = 0; i < HOOK_VIEWS; i++) {
        free(hooks->binding[i].frame);
        free(hooks->binding[i].code);
    }
    free(hooks);
}

/* --- claims --- */

static bool has_claim(const struct hooks *hooks, size_t page)
{
    for (size_t i = 0; i < hooks->claims; i++)
        if (hooks->claim[i].page == page)
            return true;
    return false;
}

static int take_claim(struct hooks *hooks, uint64_t frame, size_t page)
{
    if (hook_find_claim(hooks, frame) != NULL)
        return 1;
    if (hooks->claims == HOOK_CLAIMS)
        return -ENOSPC;
    hooks->claim[hooks->claims++] = (struct hook_claimed){frame, page, false};
    hooks->version++;
    return 1;
}

/* Of several pages with the same bytes it is one that has no frame yet, for now. */
int hook_claim(struct hooks *hooks, uint64_t frame)
{
    const struct hook_plan *plan = hooks->plan;
    uint64_t first;
    uint8_t bytes[PAGE_SIZE];
    size_t found = plan->pages;
    bool have = false;

    if (hooks->memory->read(hooks->memory->context, frame, &first, sizeof(first)) != 0)
        return 0;
    for (size_t i = 0; i < plan->pages; i++) {
        if (!hook_is_code(&plan->page[i]) || memcmp(plan->page[i].file, &first, sizeof(first)) != 0)
            continue;
        if (!have && hooks->memory->read(hooks->memory->context, frame, bytes, PAGE_SIZE) != 0)
            return 0;
        have = true;
        if (memcmp(plan->page[i].file, bytes, PAGE_SIZE) != 0)
            continue;
        if (!has_claim(hooks, i))
            return take_claim(hooks, frame, i);
        if (found == plan->pages)
            found = i;
    }
    return found == plan->pages ? 0 : take_claim(hooks, frame, found);
}

COLD const struct hook_claimed *hook_find_claim(const struct hooks *hooks, uint64_t frame)
{
    for (size_t i = 0; i < hooks->claims; i++)
        if (hooks->claim[i].frame == frame)
            return &hooks->claim[i];
    return NULL;
}

/* Such pages have the same rights and show the same in the default view (the planner sees to that):
 * no view changes. */
COLD bool hook_settle(struct hooks *hooks, uint64_t frame, size_t page)
{
    const struct hook_plan *plan = hooks->plan;
    struct hook_claimed *claim = NULL;

    for (size_t i = 0; i < hooks->claims && claim == NULL; i++)
        if (hooks->claim[i].frame == frame)
            claim = &hooks->claim[i];
    if (claim == NULL)
        return false;
    if (claim->page != page && (claim->settled || memcmp(plan->page[claim->page].file,
                                                         plan->page[page].file, PAGE_SIZE) != 0))
        return false;
    claim->page = page;
    claim->settled = true;
    return true;
}

size_t hook_claimed(const struct hooks *hooks, size_t *of)
{
    size_t found = 0;

    *of = 0;
    for (size_t page = 0; page < hooks->plan->pages; page++) {
        if (!hook_is_code(&hooks->plan->page[page]))
            continue;
        ++*of;
        found += has_claim(hooks, page);
    }
    return found;
}

/* --- bindings --- */

HOT struct hook_binding *hook_find_binding(struct hooks *hooks, uint64_t cr3)
{
    for (size_t i = 0; i < HOOK_VIEWS; i++)
        if (hooks->binding[i].used && hooks->binding[i].cr3 == cr3)
            return &hooks->binding[i];
    return NULL;
}

HOT struct hook_binding *hook_binding_of(struct hooks *hooks, const struct hook_vcpu *vcpu)
{
    struct hook_binding *binding;

    if (vcpu->view == 0 || vcpu->view > HOOK_VIEWS)
        return NULL;
    binding = &hooks->binding[vcpu->view - 1];
    return binding->used && binding->serial == vcpu->serial ? binding : NULL;
}

void hook_vcpu_gone(struct hooks *hooks, struct hook_vcpu *vcpu)
{
    struct hook_binding *binding = hook_binding_of(hooks, vcpu);

    if (binding != NULL) {
        binding->inside--;
        binding->calls = binding->waits = false;
    }
    *vcpu = (struct hook_vcpu){.view = 0};
}

/* Nothing lies below the agent's stack, so that it ends there. */
static bool is_bounded(struct hooks *hooks, uint64_t cr3)
{
    uint64_t frame;

    return hooks->memory->translate(hooks->memory->context, cr3, hooks->plan->stack - PAGE_SIZE,
                                    &frame) == -EFAULT;
}

static void note_walks(struct hooks *hooks, const struct hook_binding *binding)
{
    const struct hook_memory *memory = hooks->memory;

    if (memory->note != NULL)
        memory->note(memory->context, (unsigned int)(binding - hooks->binding), binding->cr3,
                     binding->frame);
}

/* Each walk is made again. */
COLD static bool are_walks_same(struct hooks *hooks, const struct hook_binding *binding)
{
    const struct hook_plan *plan = hooks->plan;
    const struct hook_memory *memory = hooks->memory;
    uint64_t frame;

    for (size_t i = 0; i < plan->pages; i++)
        if (memory->translate(memory->context, binding->cr3, plan->page[i].linear, &frame) != 0 ||
            frame != binding->frame[i])
            return false;
    if (!is_bounded(hooks, binding->cr3))
        return false;
    note_walks(hooks, binding);
    return true;
}

enum hook_reason hook_why_moved(struct hooks *hooks, const struct hook_binding *binding)
{
    const struct hook_plan *plan = hooks->plan;
    const struct hook_memory *memory = hooks->memory;
    uint64_t frame;

    for (size_t i = 0; i < plan->pages; i++)
        if (memory->translate(memory->context, binding->cr3, plan->page[i].linear, &frame) ==
            -EACCES)
            return HOOK_REASON_BAD_TABLES;
    return HOOK_REASON_REMAPPED;
}

HOT bool hook_is_sound(const struct hooks *hooks, const struct hook_binding *binding)
{
    const struct hook_memory *memory = hooks->memory;

    return !(hooks->plan->defences & HOOK_TABLE_CHECK) || memory->sound == NULL ||
           memory->sound(memory->context, (unsigned int)(binding - hooks->binding), binding->cr3);
}

HOT bool hook_intact(struct hooks *hooks, const struct hook_binding *binding)
{
    const struct hook_memory *memory = hooks->memory;

    return (memory->same != NULL &&
            memory->same(memory->context, (unsigned int)(binding - hooks->binding),
                         binding->cr3)) ||
           are_walks_same(hooks, binding);
}

/* Data that is anyone else's, or twice the same. */
static bool is_taken(const struct hooks *hooks, size_t page)
{
    uint64_t frame = hooks->frames[page];

    if (hook_find_claim(hooks, frame) != NULL)
        return true;
    for (size_t i = 0; i < page; i++)
        if (hooks->frames[i] == frame)
            return true;
    for (size_t i = 0; i < HOOK_VIEWS; i++)
        for (size_t p = 0; hooks->binding[i].used && p < hooks->plan->pages; p++)
            if (!hook_is_code(&hooks->plan->page[p]) && hooks->binding[i].frame[p] == frame)
                return true;
    return false;
}

static enum hook_reason examine(struct hooks *hooks, uint64_t cr3)
{
    const struct hook_plan *plan = hooks->plan;

    for (size_t i = 0; i < plan->pages; i++) {
        const int code = hooks->memory->translate(hooks->memory->context, cr3, plan->page[i].linear,
                                                  &hooks->frames[i]);

        if (code != 0)
            return code == -EACCES ? HOOK_REASON_BAD_TABLES : HOOK_REASON_NOT_MAPPED;
    }
    if (!is_bounded(hooks, cr3))
        return HOOK_REASON_REMAPPED;
    for (size_t i = 0; i < plan->pages; i++) {
        if (hook_is_code(&plan->page[i]) && !hook_settle(hooks, hooks->frames[i], i))
            return HOOK_REASON_CODE_DIFFERS;
        if (!hook_is_code(&plan->page[i]) && is_taken(hooks, i))
            return HOOK_REASON_FRAME_TAKEN;
    }
    return HOOK_REASON_NONE;
}

struct collector {
    struct hooks *hooks;
    struct hook_binding *binding;
};

static bool is_of_plan(const struct hooks *hooks, uint64_t frame)
{
    for (size_t i = 0; i < hooks->plan->pages; i++)
        if (hooks->frames[i] == frame)
            return true;
    return false;
}

static int collect(void *argument, uint64_t frame, bool user)
{
    struct collector *collector = argument;
    struct hook_binding *binding = collector->binding;

    if (is_of_plan(collector->hooks, frame))
        return 0;
    for (size_t i = 0; i < binding->codes; i++)
        if (binding->code[i].frame == frame) {
            binding->code[i].user |= user;
            return 0;
        }
    if (binding->codes == HOOK_EXECUTABLE)
        return -ENOSPC;
    binding->code[binding->codes++] = (struct hook_code_frame){frame, user};
    return 0;
}

/* The agent starts with what its file says, whoever wrote there before. */
static int start_data(struct hooks *hooks, const struct hook_binding *binding)
{
    int code = 0;

    for (size_t i = 0; i < hooks->plan->pages && code == 0; i++)
        if (!hook_is_code(&hooks->plan->page[i]))
            code = hooks->memory->write(hooks->memory->context, binding->frame[i],
                                        hooks->plan->page[i].file, PAGE_SIZE);
    return code;
}

static struct hook_binding *free_binding(struct hooks *hooks)
{
    for (size_t i = 0; i < HOOK_VIEWS; i++)
        if (!hooks->binding[i].used)
            return &hooks->binding[i];
    for (size_t i = 0; i < HOOK_VIEWS; i++)
        if (hooks->binding[i].inside == 0 && !hook_intact(hooks, &hooks->binding[i])) {
            hook_release(hooks, &hooks->binding[i]);
            return &hooks->binding[i];
        }
    return NULL;
}

COLD enum hook_reason hook_bind(struct hooks *hooks, uint64_t cr3, struct hook_binding **bound)
{
    struct hook_binding *binding = free_binding(hooks);
    enum hook_reason reason = examine(hooks, cr3);
    struct collector collector = {hooks, binding};

    if (reason != HOOK_REASON_NONE)
        return reason;
    if (binding == NULL)
        return HOOK_REASON_TOO_MANY_PROGRAMS;
    *binding = (struct hook_binding){
        .used = true,
        .cr3 = cr3,
        .serial = ++hooks->serial,
        .version = binding->version + 1, /* its number may have been another's */
        .frame = binding->frame,
        .code = binding->code,
    };
    memcpy(binding->frame, hooks->frames, hooks->plan->pages * sizeof(*binding->frame));
    if (hooks->nested_page < hooks->plan->pages)
        binding->nested_frame = binding->frame[hooks->nested_page];
    if (hooks->memory->executable(hooks->memory->context, cr3, collect, &collector) == 0 &&
        start_data(hooks, binding) == 0) {
        for (size_t i = 0; i < HOOK_VIEWS; i++)
            hooks->binding[i].version++; /* none of them has this one's data */
        hooks->version++;
        note_walks(hooks, binding);
        *bound = binding;
        return HOOK_REASON_NONE;
    }
    hook_release(hooks, binding);
    return HOOK_REASON_TOO_MANY_PROGRAMS;
}

COLD void hook_release(struct hooks *hooks, struct hook_binding *binding)
{
    static const uint8_t zeros[PAGE_SIZE];

    if (!binding->used)
        return;
    for (size_t i = 0; i < hooks->plan->pages; i++)
        if (!hook_is_code(&hooks->plan->page[i]))
            hooks->memory->write(hooks->memory->context, binding->frame[i], zeros, PAGE_SIZE);
    *binding = (struct hook_binding){
        .version = binding->version + 1, .frame = binding->frame, .code = binding->code};
    hooks->version++;
}
