/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/protect/portions/view_plan.h"

#include <errno.h>
#include <stdlib.h>

#include "host/sort.h"
#include "mezz/ept.h"

static int add(struct view_plan *plan, uint64_t frame, uint32_t rights)
{
    if (plan->count == plan->capacity) {
        size_t capacity = plan->capacity == 0 ? 256 : 2 * plan->capacity;
        struct plan_page *page = realloc(plan->page, capacity * sizeof(*page));

        if (page == NULL)
            return -ENOMEM;
        plan->page = page;
        plan->capacity = capacity;
    }
    plan->page[plan->count++] = (struct plan_page){frame, rights};
    return 0;
}

static int by_frame(const void *a, const void *b)
{
    uint64_t left = ((const struct plan_page *)a)->frame;
    uint64_t right = ((const struct plan_page *)b)->frame;

    return (left > right) - (left < right);
}

/* Of a frame that is there twice, what is the most: code may be several views'. */
static void merge(struct view_plan *plan)
{
    size_t kept = 0;

    sort_by_key(plan->page, plan->count, sizeof(*plan->page));
    for (size_t i = 0; i < plan->count; i++) {
        if (kept > 0 && plan->page[kept - 1].frame == plan->page[i].frame)
            plan->page[kept - 1].rights |= plan->page[i].rights;
        else
            plan->page[kept++] = plan->page[i];
    }
    plan->count = kept;
}

static const struct plan_page *find(const struct view_plan *plan, size_t count, uint64_t frame)
{
    const struct plan_page key = {frame, 0};

    return count == 0 ? NULL : bsearch(&key, plan->page, count, sizeof(key), by_frame);
}

struct filling {
    struct view_plan *plan;
    uint32_t view; /* 0: none */
    bool strict;
    const struct address_space *space;
};

#define ONLY_DATA (SPACE_DATA | SPACE_TWICE)

/* Ring 3 has it as data only, and the kernel's events have nothing to do with it. */
static bool is_data(const struct address_space *space, uint64_t frame)
{
    return (address_space_kinds(space, frame) | SPACE_TWICE) == ONLY_DATA;
}

static int add_guarded(void *context, const struct portion_guard_frame *frame)
{
    const struct filling *filling = context;
    uint32_t rights = 0;

    if (filling->view != 0 && frame->view == filling->view) {
        rights = frame->inside;
        if (!(rights & MEZZ_EPT_EXECUTE) && !filling->strict &&
            is_data(filling->space, frame->frame))
            rights = rights & MEZZ_EPT_WRITE ? MEZZ_EPT_RWX : MEZZ_EPT_READ | MEZZ_EPT_EXECUTE;
    }
    return add(filling->plan, frame->frame, rights);
}

int view_plan_default(struct view_plan *plan, const struct portion_guard *guard)
{
    struct filling filling = {.plan = plan};
    int code;

    plan->count = 0;
    code = portion_guard_each_frame(guard, add_guarded, &filling);
    merge(plan);
    return code;
}

/* What the processor uses by itself. One page is not both: an event sets bits of page tables. */
#define OF_PROCESSOR (SPACE_TABLE | SPACE_EVENT)

/* What the view has to have executable, for the kernel's events, could be run by ring 3, written by
 * the portion, whose caller says where, or begin the kernel's handling in the view; or events write
 * what they are judged by; or ring 3 has the portion's own pages at another address, too. */
static bool is_unsafe(const struct space_page *page, const struct plan_page *own)
{
    if (page->kinds & OF_PROCESSOR)
        return own != NULL ||
               page->kinds & (SPACE_HANDLER | SPACE_CODE | SPACE_DATA | SPACE_MIXED) ||
               (page->kinds & OF_PROCESSOR) == OF_PROCESSOR;
    if (page->kinds & SPACE_TWICE && own != NULL && own->rights != 0)
        return true;
    return page->kinds & SPACE_HANDLER && own != NULL && own->rights & MEZZ_EPT_EXECUTE;
}

/* Whoever tolerates it gives the kernel a way in, and nobody rights on the portion's own pages. */
static bool is_tolerable(const struct space_page *page, const struct plan_page *own)
{
    return own == NULL || !(page->kinds & (OF_PROCESSOR | SPACE_TWICE));
}

static int add_space(struct view_plan *plan, const struct filling *filling, bool tolerates)
{
    const struct address_space *space = filling->space;
    const size_t guarded = plan->count;
    int code = 0;

    for (size_t i = 0; i < space->count && code == 0; i++) {
        const struct space_page *page = &space->page[i];
        const struct plan_page *own = find(plan, guarded, page->frame);

        if (is_unsafe(page, own) && !(tolerates && is_tolerable(page, own)))
            code = -EPERM;
        else if (page->kinds & OF_PROCESSOR ||
                 (own == NULL && !filling->strict && (page->kinds | SPACE_TWICE) == ONLY_DATA))
            code = add(plan, page->frame, MEZZ_EPT_RWX);
    }
    return code;
}

int view_plan_portion(struct view_plan *plan, const struct portion_guard *guard, uint32_t view,
                      const struct address_space *space)
{
    uint64_t cr3;
    const struct portion *portion = portion_guard_view_portion(guard, view, &cr3);
    struct filling filling = {plan, view, portion != NULL && portion->strict, space};
    int code;

    plan->count = 0;
    if (portion == NULL)
        return -EPERM;
    code = portion_guard_each_frame(guard, add_guarded, &filling);
    merge(plan);
    if (code == 0)
        code = add_space(plan, &filling, portion->tolerated >> REASON_UNSAFE_SPACE & 1);
    merge(plan);
    return code;
}

uint32_t view_plan_rights(const struct view_plan *plan, uint64_t frame)
{
    const struct plan_page *page = find(plan, plan->count, frame);

    return page == NULL ? MEZZ_EPT_RWX : page->rights;
}

bool view_plan_same(const struct view_plan *a, const struct view_plan *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->page[i].frame != b->page[i].frame || a->page[i].rights != b->page[i].rights)
            return false;
    return true;
}

void view_plan_destroy(struct view_plan *plan)
{
    free(plan->page);
    *plan = (struct view_plan){.page = NULL};
}
