/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/protect/view_plan.h"

#include <errno.h>
#include <stdlib.h>

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

    if (plan->count > 0)
        qsort(plan->page, plan->count, sizeof(*plan->page), by_frame);
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

/* Ring 3 has it as data only, and the kernel's events have nothing to do with it. */
static bool is_data(const struct address_space *space, uint64_t frame)
{
    return address_space_kinds(space, frame) == SPACE_DATA;
}

static int add_guarded(void *context, const struct guard_frame *frame)
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

int view_plan_default(struct view_plan *plan, const struct guard *guard)
{
    struct filling filling = {.plan = plan};
    int code;

    plan->count = 0;
    code = guard_each_frame(guard, add_guarded, &filling);
    merge(plan);
    return code;
}

/* guarded: how many pages of the plan are portions'. */
static int add_space(struct view_plan *plan, const struct address_space *space, bool strict)
{
    const size_t guarded = plan->count;
    int code = 0;

    for (size_t i = 0; i < space->count && code == 0; i++) {
        const struct space_page *page = &space->page[i];
        const struct plan_page *own = find(plan, guarded, page->frame);

        if (page->kinds & SPACE_TABLE)
            code = own != NULL || page->kinds & SPACE_HANDLER
                       ? -EPERM
                       : add(plan, page->frame, MEZZ_EPT_RWX);
        else if (page->kinds & SPACE_HANDLER)
            code = own != NULL && own->rights & MEZZ_EPT_EXECUTE ? -EPERM : 0;
        else if (own == NULL && page->kinds == SPACE_DATA && !strict)
            code = add(plan, page->frame, MEZZ_EPT_RWX);
    }
    return code;
}

int view_plan_portion(struct view_plan *plan, const struct guard *guard, uint32_t view,
                      const struct address_space *space)
{
    uint64_t cr3;
    const struct portion *portion = guard_view_portion(guard, view, &cr3);
    struct filling filling = {plan, view, portion != NULL && portion->strict, space};
    int code;

    plan->count = 0;
    if (portion == NULL)
        return -EPERM;
    code = guard_each_frame(guard, add_guarded, &filling);
    merge(plan);
    if (code == 0)
        code = add_space(plan, space, filling.strict);
    merge(plan);
    return code;
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
