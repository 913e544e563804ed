/* SPDX-License-Identifier: Apache-2.0 */
/* A program whose own functions are guarded: the rest of it is an application's code, which does
 * not run in the security view, and is not of the plan. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "hookguard/hooks/code.h"
#include "hookguard/hooks/parts.h"
#include "host/memory.h"

struct caller {
    const struct hook_maker *maker;
    const struct hook_function *function;
};

static int check_target(void *context, uint64_t target)
{
    const struct caller *caller = context;
    const struct program_image *program = caller->maker->library;
    const struct program_symbol *symbol = program_symbol_at(program, target);

    /* What is no beginning of a function may be data that was taken for code. */
    if (symbol == NULL || symbol->address != target || !symbol->code || symbol->data ||
        hook_function_at(caller->maker->plan, target) != NULL)
        return 0;
    return error_set(caller->maker->error, EINVAL,
                     "%s: guard of %s: it calls %s of the program, which is not guarded and, with "
                     "app-nx, does not run there",
                     program->name, caller->function->name, symbol->name);
}

static int check_calls(struct hook_maker *maker, const struct hook_function *function)
{
    const struct program_segment *segment =
        program_segment_of(maker->library, function->entry, function->length);
    const struct hook_code code = {.bytes = segment->bytes + (function->entry - segment->address),
                                   .address = function->entry,
                                   .length = function->length};
    struct caller caller = {maker, function};

    return hook_code_each_target(&code, check_target, &caller);
}

/* What is in the file: behind it there are zeros, which are no function. */
static uint64_t end_of_file(const struct program_segment *segment)
{
    return segment->address + segment->file_length;
}

/* A guarded page with the bytes of the image's page at this address, or NULL. */
static const struct hook_page *find_same(const struct hook_plan *plan,
                                         const struct program_image *image, uint64_t linear)
{
    uint8_t bytes[PAGE_SIZE];

    program_page(image, linear, bytes);
    for (size_t i = 0; i < plan->pages; i++)
        if (plan->page[i].kind == HOOK_PAGE_GUARDED &&
            memcmp(plan->page[i].file, bytes, PAGE_SIZE) == 0)
            return &plan->page[i];
    return NULL;
}

/* Other pages with the bytes of a guarded one would be taken for it. */
static int check_pages(const struct hook_plan *plan, const struct program_image *image,
                       const struct program_segment *segment, struct error *error)
{
    const bool other = strcmp(image->name, plan->library) != 0;

    for (uint64_t at = segment->address & ~(PAGE_SIZE - 1); at < end_of_file(segment);
         at += PAGE_SIZE) {
        const struct hook_page *same =
            !other && hook_page_at(plan, at) != NULL ? NULL : find_same(plan, image, at);

        if (same != NULL)
            return error_set(error, EINVAL,
                             "%s: the page %#" PRIx64 " has the bytes of the guarded page %#" PRIx64
                             "%s%s and would be taken for it: make them differ",
                             image->name, at, same->linear, other ? " of " : "",
                             other ? plan->library : "");
    }
    return 0;
}

int hook_own_compare(const struct hook_plan *plan, const struct program_image *image,
                     struct error *error)
{
    int code = 0;

    for (size_t i = 0; i < image->segments && code == 0; i++)
        code = check_pages(plan, image, &image->segment[i], error);
    return code;
}

int hook_own_check(struct hook_maker *maker)
{
    const struct hook_plan *plan = maker->plan;
    int code = 0;

    for (size_t i = 0; i < plan->functions && plan->defences & HOOK_APP_NX && code == 0; i++)
        code = check_calls(maker, &plan->function[i]);
    return code == 0 ? hook_own_compare(plan, maker->library, maker->error) : code;
}
