/* SPDX-License-Identifier: Apache-2.0 */
/* The hooks of a plan, and the padding around them. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "hookguard/hooks/code.h"
#include "hookguard/hooks/parts.h"
#include "host/memory.h"

#define THUNK_BYTES 16U

/* Room on the plan pages. */
static uint8_t *take_room(struct hook_maker *maker, size_t length, uint64_t *address)
{
    uint8_t *at;

    if (length > MEZZ_GUARD_PLAN_SIZE - maker->used)
        return NULL;
    at = maker->area + maker->used;
    *address = maker->area_address + maker->used;
    maker->used += (length + 15) & ~15U;
    return at;
}

/* mov $index, %r11d; jmp guard_enter */
static int make_thunk(struct hook_maker *maker, size_t index)
{
    struct hook_function *function = &maker->plan->function[index];
    const uint32_t number = (uint32_t)index;
    uint8_t *at = take_room(maker, THUNK_BYTES, &function->thunk);

    if (at == NULL)
        return hook_bad(maker, function, "the agent's plan pages are full");
    at[0] = 0x41;
    at[1] = 0xbb;
    memcpy(at + 2, &number, 4);
    if (hook_code_jump(at + 6, function->thunk + 6, maker->enter) != 0)
        return hook_bad(maker, function, "the agent is too far away from its own pages");
    return 0;
}

static int make_body(struct hook_maker *maker, struct hook_function *function)
{
    const struct program_segment *segment =
        program_segment_of(maker->library, function->entry, function->length);
    struct hook_code code = {.address = function->entry, .length = function->length};
    struct hook_beginning beginning;
    uint8_t moved[HOOK_MOVED_LIMIT];
    size_t used;
    uint8_t *to;

    if (segment == NULL ||
        function->entry - segment->address + function->length > segment->file_length)
        return hook_bad(maker, function, "its code is not in the file");
    code.bytes = segment->bytes + (function->entry - segment->address);
    if (hook_code_begin(&code, HOOK_BYTES, &beginning, maker->error) != 0)
        goto no_way;
    function->body = beginning.body;
    if (beginning.body != 0)
        return 0;
    to = take_room(maker, HOOK_MOVED_LIMIT, &function->body);
    if (to == NULL)
        return hook_bad(maker, function, "the agent's plan pages are full");
    if (hook_code_move(&code, beginning.length, function->body, moved, &used, maker->error) != 0)
        goto no_way;
    memcpy(to, moved, used);
    return 0;

no_way:
    return error_prefix(maker->error, -EINVAL, "%s: guard of %s", maker->library->name,
                        function->name);
}

/* Both hooks of a function, into the contents of its pages. */
static int place_hooks(struct hook_maker *maker, const struct hook_function *function)
{
    static const uint8_t over[] = {0xeb, HOOK_GATE_BYTES - 2};
    uint8_t secure[HOOK_BYTES];
    uint8_t shown[HOOK_GATE_BYTES];

    memset(secure, 0xcc, sizeof(secure));
    memcpy(secure, over, sizeof(over));
    if (hook_code_jump(secure + HOOK_GATE_BYTES, function->entry + HOOK_GATE_BYTES,
                       function->thunk) != 0)
        return hook_bad(maker, function, "the agent is more than 2 GiB away");
    hook_parts_write(maker->plan, function->entry, secure, sizeof(secure), HOOK_SECURE);
    if (!(maker->plan->defences & (HOOK_API_NX | HOOK_PADDING))) {
        hook_code_gate(shown, maker->plan->gate, HOOK_INDEX);
        hook_parts_write(maker->plan, function->entry, shown, sizeof(shown), HOOK_SHOWN);
    }
    return 0;
}

static int pad_page(struct hook_maker *maker, struct hook_page *page)
{
    const struct hook_plan *plan = maker->plan;
    uint32_t entry[MEZZ_GUARD_FUNCTIONS];
    size_t count = 0;
    int code;

    for (size_t i = 0; i < plan->functions; i++) {
        uint64_t offset = plan->function[i].entry - page->linear;

        if (offset >= PAGE_SIZE)
            continue;
        if (offset > PAGE_SIZE - 2 * HOOK_GATE_BYTES - 32)
            return hook_bad(maker, &plan->function[i], "it begins too near to the end of its page");
        entry[count++] = (uint32_t)offset;
    }
    hook_code_pad(page->shown, plan->gate, entry, count);
    code = hook_code_prove(page->shown, page->linear, plan->gate, entry, count, maker->error);
    return code == 0 ? 0
                     : error_prefix(maker->error, code, "%s: padding of the page %#" PRIx64,
                                    maker->library->name, page->linear);
}

int hook_place_all(struct hook_maker *maker)
{
    struct hook_plan *plan = maker->plan;
    int code = 0;

    for (size_t i = 0; i < plan->functions && code == 0; i++) {
        code = make_thunk(maker, i);
        if (code == 0)
            code = make_body(maker, &plan->function[i]);
        if (code == 0)
            code = place_hooks(maker, &plan->function[i]);
    }
    for (size_t i = 0; i < plan->pages && code == 0; i++)
        if (plan->page[i].kind == HOOK_PAGE_GUARDED && plan->page[i].shown != NULL &&
            plan->defences & HOOK_PADDING)
            code = pad_page(maker, &plan->page[i]);
    return code;
}
