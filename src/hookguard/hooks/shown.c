/* SPDX-License-Identifier: Apache-2.0 */
/* What the default view and the security views show. */
#include <errno.h>

#include "hookguard/hooks/state.h"
#include "host/hot.h"
#include "host/memory.h"
#include "mezz/ept.h"

HOT uint64_t hook_version(const struct hooks *hooks, uint32_t view)
{
    return view == 0 ? hooks->version : hooks->binding[view - 1].version;
}

HOT bool hook_view_exists(const struct hooks *hooks, uint32_t view)
{
    return view == 0 || (view <= HOOK_VIEWS && hooks->binding[view - 1].used);
}

/* Data of agents but of `except`: nowhere. */
static int each_data(const struct hooks *hooks, const struct hook_binding *except,
                     int (*function)(void *context, const struct hook_patch *patch), void *context)
{
    int code = 0;

    for (size_t i = 0; i < HOOK_VIEWS; i++) {
        const struct hook_binding *binding = &hooks->binding[i];

        for (size_t p = 0;
             binding->used && binding != except && code == 0 && p < hooks->plan->pages; p++) {
            struct hook_patch patch = {binding->frame[p], hooks->plan->page[p].default_rights,
                                       NULL};

            if (!hook_is_code(&hooks->plan->page[p]))
                code = function(context, &patch);
        }
    }
    return code;
}

static int each_own(const struct hooks *hooks, const struct hook_binding *binding,
                    int (*function)(void *context, const struct hook_patch *patch), void *context)
{
    int code = 0;

    for (size_t p = 0; p < hooks->plan->pages && code == 0; p++) {
        const struct hook_page *page = &hooks->plan->page[p];
        struct hook_patch patch = {binding->frame[p], page->secure_rights, page->secure};

        if (hook_is_code(page))
            code = function(context, &patch);
    }
    for (size_t i = 0; i < binding->codes && code == 0; i++) {
        struct hook_patch patch = {binding->code[i].frame, MEZZ_EPT_READ, NULL};
        uint32_t defence = binding->code[i].user ? HOOK_APP_NX : HOOK_KERNEL_NX;

        if (hooks->plan->defences & defence)
            code = function(context, &patch);
    }
    return code;
}

int hook_each_patch(const struct hooks *hooks, uint32_t view,
                    int (*function)(void *context, const struct hook_patch *patch), void *context)
{
    const struct hook_binding *binding = view == 0 ? NULL : &hooks->binding[view - 1];
    /* First, since it counts: a page that was this program's code may be another's agent's now. */
    int code = each_data(hooks, binding, function, context);

    if (code == 0 && binding != NULL)
        code = each_own(hooks, binding, function, context);
    for (size_t i = 0; i < hooks->claims && code == 0; i++) {
        const struct hook_page *page = &hooks->plan->page[hooks->claim[i].page];
        struct hook_patch patch = {hooks->claim[i].frame, page->default_rights, page->shown};

        /* The rest of the library is as it is. */
        if (page->kind != HOOK_PAGE_LIBRARY)
            code = function(context, &patch);
    }
    return code;
}

bool hook_runs(const struct hooks *hooks, uint32_t view, uint64_t frame)
{
    const struct hook_binding *binding = &hooks->binding[view - 1];

    for (size_t i = 0; i < binding->codes; i++)
        if (binding->code[i].frame == frame)
            return !(hooks->plan->defences &
                     (binding->code[i].user ? HOOK_APP_NX : HOOK_KERNEL_NX));
    return true;
}

COLD static int find_address(const struct hooks *hooks, const struct hook_binding *binding,
                             uint64_t linear, uint64_t *address)
{
    const struct hook_page *page = hook_page_at(hooks->plan, linear);

    if (page == NULL)
        return -EFAULT;
    *address = binding->frame[page - hooks->plan->page] + linear % PAGE_SIZE;
    return 0;
}

HOT int hook_agent_address(const struct hooks *hooks, uint32_t view, uint64_t linear,
                           uint64_t *address)
{
    const uint64_t offset = linear % PAGE_SIZE;

    if (view == 0 || !hook_view_exists(hooks, view))
        return -EFAULT;
    if (linear - offset != hooks->nested_linear || hooks->binding[view - 1].nested_frame == 0)
        return find_address(hooks, &hooks->binding[view - 1], linear, address);
    *address = hooks->binding[view - 1].nested_frame + offset;
    return 0;
}
