/* SPDX-License-Identifier: Apache-2.0 */
/* Which address spaces have which portions, and by which frames. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hookguard/portions/state.h"
#include "host/memory.h"
#include "mezz/ept.h"

_Static_assert(sizeof(((struct portion_guard *)0)->seen) == PAGE_SIZE, "a page");

static const struct portion_pages *pages_of(const struct portion *portion, size_t *page)
{
    const struct portion_pages *pages = portion->pages;

    while (*page >= pages->length / PAGE_SIZE)
        *page -= pages++->length / PAGE_SIZE;
    return pages;
}

uint64_t portion_guard_page_address(const struct portion *portion, size_t page)
{
    const struct portion_pages *pages = pages_of(portion, &page);

    return pages->address + page * PAGE_SIZE;
}

uint32_t portion_guard_page_rights(const struct portion *portion, size_t page)
{
    return pages_of(portion, &page)->inside;
}

static bool constant(const struct portion *portion, size_t page)
{
    return !(portion_guard_page_rights(portion, page) & MEZZ_EPT_WRITE);
}

int portion_guard_create(struct portion_guard **made, const struct portion_table *table,
                         const struct portion_guard_memory *memory)
{
    struct portion_guard *guard = calloc(1, sizeof(*guard));

    if (guard == NULL)
        return -ENOMEM;
    guard->table = table;
    guard->memory = memory;
    *made = guard;
    return 0;
}

void portion_guard_destroy(struct portion_guard *guard)
{
    for (size_t i = 0; i < PORTION_GUARD_VIEWS; i++)
        pattern_cache_destroy(&guard->binding[i].cache);
    free(guard);
}

/* A page of one byte over and over is no evidence: all of free memory looks like that. */
static bool uniform(const uint8_t *page)
{
    return memcmp(page, page + 1, PAGE_SIZE - 1) == 0;
}

/* Whether the frame that is in guard->seen holds what the program's file has there. */
static bool holds_page(struct portion_guard *guard, const struct portion *portion, size_t page)
{
    program_page(&guard->table->program[portion->program],
                 portion_guard_page_address(portion, page), guard->due);
    return memcmp(guard->seen, guard->due, PAGE_SIZE) == 0;
}

static int add_claim(struct portion_guard *guard, uint64_t frame, const struct portion *portion,
                     size_t page)
{
    for (size_t i = 0; i < guard->claims; i++)
        if (guard->claim[i].frame == frame && guard->claim[i].portion == portion)
            return 1;
    if (guard->claims == PORTION_GUARD_CLAIMS)
        return -ENOSPC;
    guard->claim[guard->claims++] = (struct portion_guard_claimed){frame, portion, page};
    guard->version++;
    return 1;
}

int portion_guard_claim(struct portion_guard *guard, uint64_t frame)
{
    int result = guard->memory->read(guard->memory->context, frame, guard->seen);

    if (result != 0 || uniform(guard->seen))
        return result;
    for (size_t p = 0; p < guard->table->portions && result >= 0; p++) {
        const struct portion *portion = &guard->table->portion[p];

        for (size_t page = 0; page < portion->own_pages; page++)
            if (constant(portion, page) && holds_page(guard, portion, page)) {
                result = add_claim(guard, frame, portion, page);
                break;
            }
    }
    return result;
}

uint64_t portion_guard_version(const struct portion_guard *guard)
{
    return guard->version;
}

int portion_guard_each_frame(const struct portion_guard *guard,
                             int (*function)(void *context,
                                             const struct portion_guard_frame *frame),
                             void *context)
{
    int result = 0;

    for (uint32_t i = 0; i < guard->bound; i++) {
        const struct portion_guard_binding *binding = &guard->binding[i];

        for (size_t page = 0; binding->portion != NULL && page < binding->portion->own_pages;
             page++) {
            struct portion_guard_frame frame = {binding->frame[page], i + 1,
                                                portion_guard_page_rights(binding->portion, page),
                                                portion_guard_page_address(binding->portion, page)};

            result = function(context, &frame);
            if (result != 0)
                return result;
        }
    }
    for (size_t i = 0; i < guard->claims && result == 0; i++) {
        const struct portion_guard_claimed *claim = &guard->claim[i];
        struct portion_guard_frame frame = {
            claim->frame, 0, portion_guard_page_rights(claim->portion, claim->page),
            portion_guard_page_address(claim->portion, claim->page)};

        result = function(context, &frame);
    }
    return result;
}

uint64_t portion_guard_scans(const struct portion_guard *guard)
{
    return guard->scans;
}

const struct portion *portion_guard_view_portion(const struct portion_guard *guard, uint32_t view,
                                                 uint64_t *cr3)
{
    if (view == 0 || view > PORTION_GUARD_VIEWS)
        return NULL;
    *cr3 = guard->binding[view - 1].cr3;
    return guard->binding[view - 1].portion;
}

struct portion_guard_binding *
portion_guard_find_binding(struct portion_guard *guard, const struct portion *portion, uint64_t cr3)
{
    for (size_t i = 0; i < guard->bound; i++)
        if (guard->binding[i].portion == portion && guard->binding[i].cr3 == cr3)
            return &guard->binding[i];
    return NULL;
}

bool portion_guard_maps(struct portion_guard *guard, const struct portion_guard_binding *binding,
                        size_t page)
{
    uint64_t frame;

    return guard->memory->translate(guard->memory->context, binding->cr3,
                                    portion_guard_page_address(binding->portion, page),
                                    &frame) == 0 &&
           frame == binding->frame[page];
}

bool portion_guard_intact(struct portion_guard *guard, const struct portion_guard_binding *binding)
{
    for (size_t page = 0; page < binding->portion->own_pages; page++)
        if (!portion_guard_maps(guard, binding, page))
            return false;
    return true;
}

/* Whether a frame for this page is someone else's: only constants may be shared, and only by views
 * of the same portion, for the same page. */
static bool taken(const struct portion_guard *guard, const struct portion *portion, size_t page)
{
    uint64_t frame = guard->frames[page];

    for (size_t i = 0; i < page; i++)
        if (guard->frames[i] == frame)
            return true;
    for (size_t i = 0; i < PORTION_GUARD_VIEWS; i++) {
        const struct portion_guard_binding *other = &guard->binding[i];

        for (size_t p = 0; other->portion != NULL && p < other->portion->own_pages; p++)
            if (other->frame[p] == frame &&
                (other->portion != portion || p != page || !constant(portion, page)))
                return true;
    }
    return false;
}

bool portion_guard_code_is_right(struct portion_guard *guard, uint32_t view)
{
    const struct portion_guard_binding *binding = &guard->binding[view - 1];

    for (size_t page = 0; page < binding->portion->own_pages; page++)
        if (constant(binding->portion, page) &&
            (guard->memory->read(guard->memory->context, binding->frame[page], guard->seen) != 0 ||
             !holds_page(guard, binding->portion, page)))
            return false;
    return true;
}

struct portion_guard_binding *portion_guard_find_free(struct portion_guard *guard)
{
    for (uint32_t i = 0; i < PORTION_GUARD_VIEWS; i++)
        if (guard->binding[i].portion == NULL &&
            !guard->memory->occupied(guard->memory->context, i + 1))
            return &guard->binding[i];
    return NULL;
}

static bool reap(struct portion_guard *guard)
{
    for (size_t i = 0; i < PORTION_GUARD_VIEWS; i++)
        if (guard->binding[i].portion != NULL && !portion_guard_intact(guard, &guard->binding[i]))
            portion_guard_release(guard, &guard->binding[i], REASON_REMAPPED);
    return portion_guard_find_free(guard) != NULL;
}

enum portion_identity portion_guard_examine(struct portion_guard *guard,
                                            const struct portion *portion, uint64_t cr3)
{
    const struct portion_guard_memory *memory = guard->memory;

    for (size_t page = 0; page < portion->own_pages; page++)
        if (memory->translate(memory->context, cr3, portion_guard_page_address(portion, page),
                              &guard->frames[page]) != 0)
            return IDENTITY_UNMAPPED;
    for (size_t page = 0; page < portion->own_pages; page++) {
        if (taken(guard, portion, page))
            return IDENTITY_TAKEN;
        if (constant(portion, page) &&
            (memory->read(memory->context, guard->frames[page], guard->seen) != 0 ||
             !holds_page(guard, portion, page)))
            return IDENTITY_DIFFERS;
    }
    return portion_guard_find_free(guard) != NULL || reap(guard) ? IDENTITY_NEW : IDENTITY_FULL;
}

bool portion_guard_is_altered(struct portion_guard *guard, const struct portion *portion)
{
    const struct portion_guard_memory *memory = guard->memory;

    for (size_t page = 0; page < portion->own_pages; page++)
        if (!constant(portion, page) &&
            (memory->read(memory->context, guard->frames[page], guard->seen) != 0 ||
             !holds_page(guard, portion, page)))
            return true;
    return false;
}

struct portion_guard_binding *portion_guard_bind(struct portion_guard *guard,
                                                 const struct portion *portion, uint64_t cr3)
{
    struct portion_guard_binding *binding = portion_guard_find_free(guard);

    if (binding == NULL)
        return NULL;
    *binding =
        (struct portion_guard_binding){.portion = portion, .cr3 = cr3, .serial = ++guard->serial};
    memcpy(binding->frame, guard->frames, portion->own_pages * sizeof(binding->frame[0]));
    if (guard->bound <= (size_t)(binding - guard->binding))
        guard->bound = (size_t)(binding - guard->binding) + 1;
    guard->version++;
    return binding;
}

void portion_guard_release(struct portion_guard *guard, struct portion_guard_binding *binding,
                           enum decision_reason reason)
{
    const bool wipes = !(binding->portion->tolerated >> reason & 1);

    for (size_t page = 0; page < binding->portion->own_pages; page++)
        if (wipes && !constant(binding->portion, page))
            guard->memory->wipe(guard->memory->context, binding->frame[page]);
    pattern_cache_destroy(&binding->cache);
    *binding = (struct portion_guard_binding){.portion = NULL};
    guard->version++;
}

void portion_guard_forget(struct portion_guard *guard, uint64_t cr3)
{
    for (size_t i = 0; i < PORTION_GUARD_VIEWS; i++)
        if (guard->binding[i].portion != NULL && guard->binding[i].cr3 == cr3)
            portion_guard_release(guard, &guard->binding[i], REASON_OWNER_GONE);
}
