/* SPDX-License-Identifier: Apache-2.0 */
#include "hookguard/hooks/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hookguard/hooks/parts.h"
#include "hookguard/hooks/state.h"
#include "host/hot.h"
#include "host/memory.h"
#include "mezz/ept.h"

#define CSTRING_DEFAULT 256U
#define GATE_LIMIT      0x80000000ULL
#define PLAN_FILL       0xcc

int hook_bad(const struct hook_maker *maker, const struct hook_function *function, const char *what)
{
    return error_set(maker->error, EINVAL, "%s: guard of %s: %s", maker->library->name,
                     function->name, what);
}

static int unreadable(const struct hook_maker *maker, const char *program, const char *what,
                      const char *name)
{
    return error_set(maker->error, EINVAL, "%s: %s \"%s\"", program, what, name);
}

static bool is_plain(enum mezz_guard_kind kind)
{
    return kind == MEZZ_GUARD_VALUE || kind == MEZZ_GUARD_NUMBER;
}

/* What needs one. */
static bool has_length(const struct hook_function_declaration *declared, size_t i)
{
    const struct hook_argument *argument = &declared->argument[i];

    if (argument->kind == MEZZ_GUARD_MEMORY && argument->length_in == MEZZ_GUARD_NO_LENGTH)
        return argument->limit != 0;
    if (argument->kind != MEZZ_GUARD_BUFFER && argument->kind != MEZZ_GUARD_MEMORY)
        return true;
    return argument->length_in < declared->arguments && argument->length_in != i &&
           is_plain(declared->argument[argument->length_in].kind);
}

static int take_argument(struct hook_maker *maker, struct hook_function *function, size_t i,
                         const struct hook_function_declaration *declared)
{
    const struct hook_argument *argument = &declared->argument[i];
    uint32_t limit = argument->limit;

    if (argument->kind >= MEZZ_GUARD_KINDS)
        return hook_bad(maker, function, "an argument of no known kind");
    if (limit == 0 && argument->kind == MEZZ_GUARD_CSTRING)
        limit = CSTRING_DEFAULT;
    if (limit == 0 && argument->kind == MEZZ_GUARD_BUFFER)
        limit = MEZZ_GUARD_COPY_LIMIT;
    if (limit > MEZZ_GUARD_COPY_LIMIT)
        return hook_bad(maker, function, "a copy of an argument has at most 4096 bytes");
    if (!has_length(declared, i))
        return hook_bad(maker, function, "a buffer's length is none of its plain arguments");
    function->argument[i] = (struct mezz_guard_argument){
        .kind = (uint8_t)argument->kind,
        .length_in = (uint8_t)argument->length_in,
        .limit = (uint16_t)limit,
    };
    return 0;
}

static int find_callback(struct hook_maker *maker, struct hook_function *function)
{
    const struct program_symbol *symbol;
    char name[256];
    size_t found;

    snprintf(name, sizeof(name), "check_%s", function->name);
    found = program_find_symbol(maker->agent, name, &symbol);
    if (maker->agent->symbols == 0)
        return error_set(
            maker->error, EINVAL,
            "%s: the agent is stripped: it has no symbols, by which callbacks are found",
            maker->agent->name);
    if (found > 1)
        return unreadable(maker, maker->agent->name, "the agent has more than one callback", name);
    if (found == 0)
        return unreadable(maker, maker->agent->name, "the agent has no callback", name);
    if (!symbol->code)
        return unreadable(maker, maker->agent->name, "the agent's callback is no function:", name);
    function->callback = symbol->address;
    return 0;
}

static int bad_symbol(const struct hook_maker *maker, const struct hook_function *function,
                      const char *what)
{
    return error_set(maker->error, EINVAL, "%s: guard of %s: the %s %s", maker->library->name,
                     function->name, maker->plan->own ? "program" : "library", what);
}

static int take_function(struct hook_maker *maker, const struct hook_function_declaration *declared)
{
    struct hook_plan *plan = maker->plan;
    struct hook_function *function = &plan->function[plan->functions];
    const struct program_symbol *symbol = NULL;
    size_t found = program_find_symbol(maker->library, declared->name, &symbol);
    int code = 0;

    *function = (struct hook_function){.name = strdup(declared->name)};
    if (function->name == NULL)
        return error_set(maker->error, ENOMEM, "out of memory");
    plan->functions++;
    if (maker->library->symbols == 0)
        return bad_symbol(maker, function, "is stripped: it has no symbols");
    if (found == 0)
        return bad_symbol(maker, function, "has no such symbol");
    if (found > 1)
        return bad_symbol(maker, function, "has more than one of this name");
    if (!symbol->code || symbol->length == 0)
        return hook_bad(maker, function, "this is no function, or one without a length");
    if (declared->arguments > MEZZ_GUARD_ARGUMENTS)
        return hook_bad(maker, function, "at most 6 arguments can be declared");
    function->entry = symbol->address;
    function->length = symbol->length;
    function->arguments = declared->arguments;
    for (size_t i = 0; i < declared->arguments && code == 0; i++)
        code = take_argument(maker, function, i, declared);
    for (size_t i = 0; i + 1 < plan->functions && code == 0; i++)
        if (function->entry < plan->function[i].entry + plan->function[i].length &&
            plan->function[i].entry < function->entry + function->length)
            code = error_set(maker->error, EINVAL,
                             "%s: guard of %s: it overlaps %s, which is guarded, too",
                             maker->library->name, function->name, plan->function[i].name);
    return code == 0 ? find_callback(maker, function) : code;
}

/* All copies of a call lie in the exchange at once. */
static int check_room(struct hook_maker *maker)
{
    const struct hook_plan *plan = maker->plan;

    for (size_t i = 0; i < plan->functions; i++) {
        uint64_t size = 0;

        for (size_t a = 0; a < plan->function[i].arguments; a++)
            if (mezz_guard_is_copied(plan->function[i].argument[a].kind))
                size += (plan->function[i].argument[a].limit + 15U) & ~15U;
        if (size > plan->exchange_end - plan->exchange)
            return hook_bad(maker, &plan->function[i],
                            "the copies of its arguments may be larger than the agent's exchange: "
                            "declare smaller limits");
    }
    return 0;
}

/* Pages with the same bytes cannot be told apart before they are used (hook_settle). */
static int check_twins(struct hook_maker *maker)
{
    const struct hook_plan *plan = maker->plan;

    for (size_t i = 0; i < plan->pages; i++)
        for (size_t k = i + 1; k < plan->pages; k++) {
            const struct hook_page *a = &plan->page[i];
            const struct hook_page *b = &plan->page[k];

            if (!hook_is_code(a) || !hook_is_code(b) || memcmp(a->file, b->file, PAGE_SIZE) != 0)
                continue;
            if (a->default_rights != b->default_rights ||
                (a->shown == NULL) != (b->shown == NULL) ||
                (a->shown != NULL && memcmp(a->shown, b->shown, PAGE_SIZE) != 0))
                return error_set(maker->error, EINVAL,
                                 "%s: the pages %#" PRIx64 " and %#" PRIx64 " have the same bytes "
                                 "and are not guarded in the same way: make them differ",
                                 maker->library->name, a->linear, b->linear);
        }
    return 0;
}

/* Such a page is taken for each of the guest's that is like it. What the plan's pages have is the
 * root's affair: they are filled with 0xcc. */
static int check_uniform(struct hook_maker *maker)
{
    const struct hook_plan *plan = maker->plan;

    for (size_t i = 0; i < plan->pages; i++) {
        const struct hook_page *page = &plan->page[i];
        const bool library = page->kind == HOOK_PAGE_GUARDED || page->kind == HOOK_PAGE_LIBRARY;

        if (!hook_is_code(page) || memcmp(page->file, page->file + 1, PAGE_SIZE - 1) != 0 ||
            (page->kind == HOOK_PAGE_PLAN && page->file[0] == PLAN_FILL))
            continue;
        return error_set(maker->error, EINVAL,
                         "%s: the page %#" PRIx64 " is %#x throughout, as other pages of a guest "
                         "are, which would be taken for it: put something into it, or drop it",
                         library ? maker->library->name : maker->agent->name, page->linear,
                         page->file[0]);
    }
    return 0;
}

/* What the agent finds at guard_plan. */
static void fill_plan_pages(struct hook_maker *maker)
{
    const struct hook_plan *plan = maker->plan;
    struct mezz_guard_plan table = {
        .magic = MEZZ_GUARD_MAGIC,
        .version = MEZZ_GUARD_VERSION,
        .functions = (uint32_t)plan->functions,
        .flags = (plan->defences & HOOK_COPIES ? MEZZ_GUARD_COPIES : 0) |
                 (plan->defences & HOOK_OWN_STACK ? MEZZ_GUARD_OWN_STACK : 0) |
                 (maker->asks ? MEZZ_GUARD_ASK : 0),
    };

    for (size_t i = 0; i < plan->functions; i++) {
        const struct hook_function *function = &plan->function[i];

        table.function[i] = (struct mezz_guard_function){
            .body = function->body,
            .callback = function->callback,
            .arguments = (uint32_t)function->arguments,
        };
        memcpy(table.function[i].argument, function->argument, sizeof(function->argument));
    }
    memcpy(maker->area, &table, sizeof(table));
    hook_parts_write(maker->plan, maker->area_address, maker->area, MEZZ_GUARD_PLAN_SIZE,
                     HOOK_SECURE);
}

static int make(struct hook_maker *maker, const struct hook_declaration *declaration)
{
    int code = 0;

    if (declaration->functions == 0 || declaration->functions > MEZZ_GUARD_FUNCTIONS)
        return error_set(maker->error, EINVAL, "%s: a guard has 1 to %u functions",
                         maker->library->name, MEZZ_GUARD_FUNCTIONS);
    if (!(declaration->defences & HOOK_API_NX) &&
        (declaration->gate == 0 || declaration->gate >= GATE_LIMIT))
        return error_set(maker->error, EINVAL,
                         "%s: a guard without api-nx needs a gate, below 2 GiB",
                         maker->library->name);
    if (declaration->gate % PAGE_SIZE != 0)
        return error_set(maker->error, EINVAL, "%s: the gate is a page: %#" PRIx64 " is within one",
                         maker->library->name, declaration->gate);
    for (size_t i = 0; i < declaration->functions && code == 0; i++)
        code = take_function(maker, &declaration->function[i]);
    if (code == 0)
        code = hook_parts_find(maker);
    if (code == 0)
        code = check_room(maker);
    if (code == 0)
        code = hook_parts_pages(maker);
    if (code == 0 && declaration->gate != 0 &&
        (program_lies_at(maker->library, declaration->gate) ||
         program_lies_at(maker->agent, declaration->gate)))
        code = error_set(maker->error, EINVAL, "%s: the gate is a page of it or of its agent",
                         maker->library->name);
    if (code == 0) {
        maker->used = (sizeof(struct mezz_guard_plan) + 15) & ~15U;
        code = hook_place_all(maker);
    }
    if (code == 0)
        code = check_uniform(maker);
    if (code == 0)
        code = check_twins(maker);
    if (code == 0)
        code = hook_pointers_check(maker);
    if (code == 0 && maker->plan->own)
        code = hook_own_check(maker);
    if (code == 0)
        fill_plan_pages(maker);
    return code;
}

int hook_plan_make(struct hook_plan *plan, const struct program_image *library,
                   const struct program_image *agent, const struct hook_declaration *declaration,
                   struct error *error)
{
    struct hook_maker maker = {.plan = plan,
                               .library = library,
                               .agent = agent,
                               .error = error,
                               .asks = declaration->asks};
    int code;

    *plan = (struct hook_plan){.library = strdup(library->name),
                               .agent = strdup(agent->name),
                               .defences = declaration->defences,
                               .own = declaration->own,
                               .gate = declaration->gate};
    memset(maker.area, PLAN_FILL, sizeof(maker.area));
    code = plan->library == NULL || plan->agent == NULL ? error_set(error, ENOMEM, "out of memory")
                                                        : make(&maker, declaration);
    if (code != 0)
        hook_plan_destroy(plan);
    return code;
}

void hook_plan_destroy(struct hook_plan *plan)
{
    for (size_t i = 0; i < plan->functions; i++)
        free(plan->function[i].name);
    for (size_t i = 0; i < plan->pages; i++) {
        free(plan->page[i].file);
        free(plan->page[i].shown);
        free(plan->page[i].secure);
    }
    free(plan->page);
    free(plan->library);
    free(plan->agent);
    *plan = (struct hook_plan){.library = NULL};
}

static int by_page(const void *key, const void *element)
{
    const uint64_t linear = *(const uint64_t *)key;
    const struct hook_page *page = element;

    return linear < page->linear ? -1 : linear > page->linear;
}

HOT const struct hook_page *hook_page_at(const struct hook_plan *plan, uint64_t linear)
{
    const uint64_t key = linear & ~(PAGE_SIZE - 1);

    if (plan->pages == 0 || key < plan->page[0].linear || key > plan->page[plan->pages - 1].linear)
        return NULL;
    return bsearch(&key, plan->page, plan->pages, sizeof(plan->page[0]), by_page);
}

HOT const struct hook_function *hook_function_of_entry(const struct hook_plan *plan,
                                                       uint64_t address)
{
    for (size_t i = 0; i < plan->functions; i++)
        if (plan->function[i].entry == address)
            return &plan->function[i];
    return NULL;
}

const struct hook_function *hook_function_at(const struct hook_plan *plan, uint64_t address)
{
    for (size_t i = 0; i < plan->functions; i++)
        if (address - plan->function[i].entry < plan->function[i].length)
            return &plan->function[i];
    return NULL;
}

const struct hook_function *hook_function_near(const struct hook_plan *plan, uint64_t address)
{
    const struct hook_function *function = hook_function_at(plan, address);
    const uint64_t page = address & ~(PAGE_SIZE - 1);

    for (size_t i = 0; function == NULL && i < plan->functions; i++)
        if (plan->function[i].entry < page + PAGE_SIZE &&
            page < plan->function[i].entry + plan->function[i].length)
            function = &plan->function[i];
    return function;
}
