/* SPDX-License-Identifier: Apache-2.0 */
#include "hookguard/hooks/parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host/memory.h"
#include "mezz/ept.h"

#define R              MEZZ_EPT_READ
#define W              MEZZ_EPT_WRITE
#define X              MEZZ_EPT_EXECUTE
#define RWX            (R | W | X)

#define PLAN_ALIGNMENT 16U /* of what is in it, too */

static int bad(const struct hook_maker *maker, const char *what)
{
    return error_set(maker->error, EINVAL, "%s: %s", maker->agent->name, what);
}

/* end: where it ends by its length, or NULL. */
static int find(const struct hook_maker *maker, const char *name, uint64_t *address, uint64_t *end)
{
    const struct program_symbol *symbol;

    if (program_find_symbol(maker->agent, name, &symbol) != 1)
        return error_set(maker->error, EINVAL, "%s: is no agent: it has no \"%s\"",
                         maker->agent->name, name);
    *address = symbol->address;
    if (end != NULL)
        *end = symbol->address + symbol->length;
    return 0;
}

static bool has(const struct hook_maker *maker, uint64_t address, uint64_t length, uint32_t rights)
{
    const struct program_segment *segment = program_segment_of(maker->agent, address, length);

    return segment != NULL && (segment->rights & rights) == rights &&
           !((segment->rights ^ rights) & W);
}

static bool in_pages(uint64_t address)
{
    return address % PAGE_SIZE == 0;
}

int hook_parts_find(struct hook_maker *maker)
{
    struct hook_plan *plan = maker->plan;
    const struct {
        const char *name;
        uint64_t *address;
        uint64_t *end;
    } symbols[] = {
        {"guard_enter", &maker->enter, NULL},
        {"guard_plan", &maker->area_address, NULL},
        {"guard_door", &plan->door, NULL},
        {"guard_record", &plan->record, NULL},
        {"guard_stack", &plan->stack, &plan->stack_end},
        {"guard_exchange", &plan->exchange, &plan->exchange_end},
        {"guard_copy", &plan->copy, NULL},
        {"guard_copy_fault", &plan->copy_fault, NULL},
    };
    const struct program_symbol *nested = NULL;
    int code = 0;

    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]) && code == 0; i++)
        code = find(maker, symbols[i].name, symbols[i].address, symbols[i].end);
    if (code == 0 && maker->asks)
        code = find(maker, "guard_answered", &plan->answered, NULL);
    if (code == 0 && program_find_symbol(maker->agent, "guard_nested", &nested) == 1)
        plan->nested = nested->address;
    if (code != 0)
        return code;
    if (maker->area_address % PLAN_ALIGNMENT != 0)
        return bad(maker, "is no agent: its plan has to begin at a multiple of 16");
    if (!in_pages(plan->door | plan->stack | plan->stack_end | plan->exchange | plan->exchange_end))
        return bad(maker, "is no agent: its parts are not whole pages");
    if (!has(maker, maker->enter, 1, R | X) || !has(maker, plan->copy, 1, R | X) ||
        !has(maker, plan->copy_fault, 1, R | X) ||
        (plan->answered != 0 && !has(maker, plan->answered, 1, R | X)) ||
        !has(maker, plan->door, PAGE_SIZE, R | X) ||
        !has(maker, maker->area_address, MEZZ_GUARD_PLAN_SIZE, R | X))
        return bad(maker, "is no agent: its plan, door and code are to be code");
    if (plan->stack_end <= plan->stack || plan->exchange_end <= plan->exchange ||
        !has(maker, plan->record, sizeof(struct mezz_guard_record), R | W) ||
        (plan->nested != 0 && !has(maker, plan->nested, sizeof(struct mezz_guard_nested), R | W)) ||
        !has(maker, plan->stack, plan->stack_end - plan->stack, R | W) ||
        !has(maker, plan->exchange, plan->exchange_end - plan->exchange, R | W))
        return bad(maker, "is no agent: its stack, exchange and record are to be data");
    return 0;
}

/* --- pages --- */

static bool in(uint64_t address, uint64_t start, uint64_t end)
{
    return address >= start && address < end;
}

static enum hook_page_kind agent_kind(const struct hook_maker *maker, uint64_t linear,
                                      uint32_t rights)
{
    const struct hook_plan *plan = maker->plan;

    if (linear == plan->door)
        return HOOK_PAGE_DOOR;
    if (in(linear + PAGE_SIZE - 1, maker->area_address,
           maker->area_address + MEZZ_GUARD_PLAN_SIZE + PAGE_SIZE - 1))
        return HOOK_PAGE_PLAN;
    if (in(linear, plan->exchange, plan->exchange_end))
        return HOOK_PAGE_EXCHANGE;
    return rights & W ? HOOK_PAGE_DATA : HOOK_PAGE_AGENT;
}

static enum hook_page_kind library_kind(const struct hook_plan *plan, uint64_t linear)
{
    for (size_t i = 0; i < plan->functions; i++)
        if (in(linear + PAGE_SIZE - 1, plan->function[i].entry,
               plan->function[i].entry + plan->function[i].length + PAGE_SIZE - 1))
            return HOOK_PAGE_GUARDED;
    return HOOK_PAGE_LIBRARY;
}

/* Rights of a page by its kind. The guest's own tables take away more: neither the agent's data
 * nor the exchange is executable in them. */
static void set_rights(const struct hook_plan *plan, struct hook_page *page)
{
    uint32_t hidden = plan->defences & HOOK_HIDDEN ? 0 : RWX;
    uint32_t inline_hook = plan->defences & HOOK_READ_ONLY ? R | X : RWX;

    switch (page->kind) {
    case HOOK_PAGE_GUARDED:
        page->default_rights = plan->defences & HOOK_API_NX ? R : inline_hook;
        page->secure_rights = R | X;
        break;
    case HOOK_PAGE_LIBRARY:
        page->default_rights = RWX;
        page->secure_rights = R | X;
        break;
    case HOOK_PAGE_AGENT:
    case HOOK_PAGE_PLAN:
        page->default_rights = hidden & (R | X);
        page->secure_rights = R | X;
        break;
    case HOOK_PAGE_DATA:
        page->default_rights = hidden;
        page->secure_rights = RWX;
        break;
    case HOOK_PAGE_EXCHANGE:
        page->default_rights = R | X;
        page->secure_rights = RWX;
        break;
    case HOOK_PAGE_DOOR:
    case HOOK_PAGE_KINDS:
    default:
        page->default_rights = 0;
        page->secure_rights = 0;
        break;
    }
}

static uint8_t *copy_of(const uint8_t *page)
{
    uint8_t *copy = malloc(PAGE_SIZE);

    if (copy != NULL)
        memcpy(copy, page, PAGE_SIZE);
    return copy;
}

/* Pages are found in the guest's memory before it runs. Of what is only partly in the file it makes
 * a page when it loads it. */
static bool is_whole(const struct program_image *image, uint64_t linear)
{
    const struct program_segment *segment = program_segment_of(image, linear, PAGE_SIZE);

    return segment != NULL && linear - segment->address + PAGE_SIZE <= segment->file_length;
}

static int add_page(struct hook_maker *maker, const struct program_image *image, uint64_t linear,
                    enum hook_page_kind kind)
{
    struct hook_plan *plan = maker->plan;
    struct hook_page *page = &plan->page[plan->pages];
    bool guarded = kind == HOOK_PAGE_GUARDED;

    if (plan->pages == HOOK_PAGES_LIMIT)
        return bad(maker, plan->own ? "guarded functions and agent have more than 512 pages"
                                    : "library and agent have more than 512 pages");
    if (guarded && !is_whole(image, linear))
        return error_set(maker->error, EINVAL,
                         "%s: guard of %s: the page %#" PRIx64
                         " is not whole in the file: align the end of its section",
                         image->name, hook_function_near(plan, linear)->name, linear);
    *page = (struct hook_page){.kind = kind, .linear = linear, .file = malloc(PAGE_SIZE)};
    plan->pages++;
    if (page->file == NULL)
        return error_set(maker->error, ENOMEM, "out of memory");
    program_page(image, linear, page->file);
    if (kind != HOOK_PAGE_EXCHANGE && kind != HOOK_PAGE_DOOR)
        page->secure = copy_of(page->file);
    if (guarded && !(plan->defences & HOOK_API_NX))
        page->shown = copy_of(page->file);
    if ((page->secure == NULL && kind != HOOK_PAGE_EXCHANGE && kind != HOOK_PAGE_DOOR) ||
        (guarded && page->shown == NULL && !(plan->defences & HOOK_API_NX)))
        return error_set(maker->error, ENOMEM, "out of memory");
    set_rights(plan, page);
    return 0;
}

static int add_agent(struct hook_maker *maker)
{
    const struct program_image *agent = maker->agent;
    int code = 0;

    for (size_t i = 0; i < agent->segments && code == 0; i++) {
        const struct program_segment *segment = &agent->segment[i];
        uint64_t at = segment->address & ~(PAGE_SIZE - 1);

        if ((segment->rights & (W | X)) == (W | X))
            return bad(maker, "has pages both writable and executable");
        for (; at < segment->address + segment->length && code == 0; at += PAGE_SIZE)
            code = add_page(maker, agent, at, agent_kind(maker, at, segment->rights));
    }
    return code;
}

static int add_library(struct hook_maker *maker)
{
    const struct program_image *library = maker->library;
    int code = 0;

    for (size_t i = 0; i < library->segments && code == 0; i++) {
        const struct program_segment *segment = &library->segment[i];
        uint64_t at = segment->address & ~(PAGE_SIZE - 1);

        if (segment->rights & W)
            return error_set(maker->error, EINVAL,
                             "%s: has writable data, which a guarded library cannot have",
                             library->name);
        for (; at < segment->address + segment->length && code == 0; at += PAGE_SIZE)
            code = add_page(maker, library, at, library_kind(maker->plan, at));
    }
    return code;
}

static bool has_page(const struct hook_plan *plan, uint64_t linear)
{
    for (size_t i = 0; i < plan->pages; i++)
        if (plan->page[i].linear == linear)
            return true;
    return false;
}

/* Of a program the guarded pages; how large the rest of it says that it is does not matter. */
static int add_own(struct hook_maker *maker)
{
    const struct hook_plan *plan = maker->plan;
    int code = 0;

    for (size_t i = 0; i < plan->functions && code == 0; i++) {
        const struct hook_function *function = &plan->function[i];
        const struct program_segment *segment =
            program_segment_of(maker->library, function->entry, function->length);
        uint64_t at = function->entry & ~(PAGE_SIZE - 1);

        if (segment == NULL || !(segment->rights & X) || segment->rights & W)
            return hook_bad(maker, function, "its pages are not code, or are writable");
        for (; at < function->entry + function->length && code == 0; at += PAGE_SIZE)
            if (!has_page(plan, at))
                code = add_page(maker, maker->library, at, HOOK_PAGE_GUARDED);
    }
    return code;
}

/* What else lies on a guarded page: it would not be reachable there. */
static int check_alone(struct hook_maker *maker)
{
    const struct program_image *library = maker->library;

    for (size_t i = 0; i < library->symbols; i++) {
        const struct program_symbol *symbol = &library->symbol[i];
        const struct hook_page *page = hook_page_at(maker->plan, symbol->address);
        const struct hook_function *function = hook_function_at(maker->plan, symbol->address);

        if (page == NULL || page->kind != HOOK_PAGE_GUARDED || symbol->length == 0)
            continue;
        if (function != NULL && symbol->address == function->entry)
            continue;
        if (symbol->code && !symbol->data)
            return error_set(maker->error, EINVAL,
                             "%s: %s is not guarded and shares a page with a guarded function: "
                             "guard it, too, or give it another page",
                             library->name, symbol->name);
        if (page->shown != NULL)
            return error_set(maker->error, EINVAL,
                             "%s: the data %s lies on the page of a guarded function: only api-nx "
                             "leaves it readable",
                             library->name, symbol->name);
    }
    return 0;
}

static int by_address(const void *a, const void *b)
{
    uint64_t left = ((const struct hook_page *)a)->linear;
    uint64_t right = ((const struct hook_page *)b)->linear;

    return left < right ? -1 : left > right;
}

static uint64_t first_page(const struct program_segment *segment)
{
    return segment->address / PAGE_SIZE;
}

static uint64_t last_page(const struct program_segment *segment)
{
    return (segment->address + segment->length - 1) / PAGE_SIZE;
}

/* The page that both have, or none. */
static bool share(const struct program_segment *a, const struct program_segment *b, uint64_t *page)
{
    *page = first_page(a) > first_page(b) ? first_page(a) : first_page(b);
    return *page <= last_page(a) && *page <= last_page(b);
}

/* A page has the rights of one segment. */
static int check_segments(const struct hook_maker *maker, const struct program_image *image)
{
    uint64_t page;

    for (size_t i = 0; i < image->segments; i++)
        for (size_t k = i + 1; k < image->segments; k++)
            if (share(&image->segment[i], &image->segment[k], &page))
                return error_set(maker->error, EINVAL,
                                 "%s: two of its segments share the page %#" PRIx64, image->name,
                                 (uint64_t)(page * PAGE_SIZE));
    return 0;
}

static int check_agent(const struct hook_maker *maker)
{
    const struct program_image *agent = maker->agent;
    const struct program_image *library = maker->library;
    uint64_t pages = 0;
    uint64_t page;

    for (size_t i = 0; i < agent->segments; i++)
        pages += last_page(&agent->segment[i]) - first_page(&agent->segment[i]) + 1;
    if (pages > HOOK_AGENT_PAGES)
        return bad(maker, "the agent is too large: at most 256 pages");
    for (size_t i = 0; i < agent->segments; i++)
        for (size_t k = 0; k < library->segments; k++)
            if (share(&agent->segment[i], &library->segment[k], &page))
                return error_set(maker->error, EINVAL, "%s: lies on pages of %s", agent->name,
                                 library->name);
    return 0;
}

int hook_parts_pages(struct hook_maker *maker)
{
    struct hook_plan *plan = maker->plan;
    int code;

    plan->page = calloc(HOOK_PAGES_LIMIT, sizeof(*plan->page));
    if (plan->page == NULL)
        return error_set(maker->error, ENOMEM, "out of memory");
    code = check_segments(maker, maker->agent);
    if (code == 0)
        code = check_segments(maker, maker->library);
    if (code == 0)
        code = check_agent(maker);
    if (code == 0)
        code = add_agent(maker);
    if (code == 0)
        code = plan->own ? add_own(maker) : add_library(maker);
    if (code != 0)
        return code;
    qsort(plan->page, plan->pages, sizeof(*plan->page), by_address);
    if (program_lies_at(maker->agent, plan->stack - PAGE_SIZE) ||
        program_lies_at(maker->library, plan->stack - PAGE_SIZE))
        return bad(maker, "there is no free page below its stack, which has to end there");
    return check_alone(maker);
}

void hook_parts_write(struct hook_plan *plan, uint64_t linear, const void *bytes, size_t length,
                      enum hook_side side)
{
    const uint8_t *from = bytes;

    for (size_t i = 0; i < plan->pages; i++) {
        struct hook_page *page = &plan->page[i];
        uint8_t *to = side == HOOK_SHOWN ? page->shown : page->secure;
        uint64_t start = page->linear > linear ? page->linear : linear;
        uint64_t end = page->linear + PAGE_SIZE;

        if (end > linear + length)
            end = linear + length;
        if (to != NULL && start < end)
            memcpy(to + (start - page->linear), from + (start - linear), end - start);
    }
}
