/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/protect/portions/address_space.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/memory.h"
#include "host/sort.h"
#include "vmm/l2.h"
#include "vmm/protect/portions/delivery.h"
#include "vmm/vmcs/x86.h"

#define ENTRIES       512U
#define LEVELS        4U
#define HALF          256U /* of the top table: from there on addresses are the upper ones */
#define UPPER         0xffff000000000000ULL
#define ENTRY_PRESENT (1ULL << 0)
#define ENTRY_USER    (1ULL << 2)
#define ENTRY_LARGE   (1ULL << 7)
#define ENTRY_NX      (1ULL << 63)
#define ENTRY_ADDRESS 0x000ffffffffff000ULL

/* What a visitor of the tables sees: a table (length 0) or a run of pages of ring 3. */
struct visit {
    const struct guest_memory *memory;
    struct kept_space *kept; /* or NULL */
    int (*found)(void *context, uint64_t linear, uint64_t frame, uint64_t length, bool executable);
    void *context;
    size_t tables;
};

static uint64_t span(unsigned int level)
{
    return PAGE_SIZE << (9 * (level - 1));
}

static int visit_table(struct visit *visit, uint64_t table, unsigned int level, uint64_t linear,
                       bool executable)
{
    uint64_t entries[ENTRIES];
    int code;

    if (++visit->tables > SPACE_TABLES_LIMIT)
        return -E2BIG;
    code = kept_space_read_table(visit->kept, visit->memory, table, entries, ENTRIES);
    if (code == 0)
        code = visit->found(visit->context, linear, table, 0, false);
    for (unsigned int i = 0; i < ENTRIES && code == 0; i++, linear += span(level)) {
        uint64_t entry = entries[i];
        bool runs = executable && !(entry & ENTRY_NX);
        uint64_t address = entry & ENTRY_ADDRESS;

        if (!(entry & ENTRY_PRESENT) || !(entry & ENTRY_USER))
            continue;
        if (level == LEVELS && i >= HALF)
            linear |= UPPER;
        if (level > 1 && !(entry & ENTRY_LARGE))
            code = visit_table(visit, address, level - 1, linear, runs);
        else
            code = visit->found(visit->context, linear, address & ~(span(level) - 1), span(level),
                                runs);
    }
    return code;
}

static int visit_all(struct visit *visit, uint64_t cr3)
{
    const struct guest_paging *paging = &visit->memory->paging;

    if (!(paging->efer & EFER_LMA) || !(paging->cr0 & CR0_PG) || paging->cr4 & (1ULL << 12))
        return -EOPNOTSUPP;
    return visit_table(visit, guest_space(cr3), LEVELS, 0, true);
}

int address_space_add(struct address_space *space, uint64_t frame, uint32_t kinds)
{
    if (space->count == SPACE_PAGES_LIMIT)
        return -E2BIG;
    if (space->count == space->capacity) {
        size_t capacity = space->capacity == 0 ? 256 : 2 * space->capacity;
        struct space_page *page = realloc(space->page, capacity * sizeof(*page));

        if (page == NULL)
            return -ENOMEM;
        space->page = page;
        space->capacity = capacity;
    }
    space->page[space->count++] = (struct space_page){frame & ~(PAGE_SIZE - 1), kinds};
    return 0;
}

static int add_found(void *context, uint64_t linear, uint64_t frame, uint64_t length,
                     bool executable)
{
    struct address_space *space = context;
    int code = 0;

    (void)linear;
    if (length == 0)
        return address_space_add(space, frame, SPACE_TABLE);
    for (uint64_t i = 0; i < length && code == 0; i += PAGE_SIZE)
        code = address_space_add(space, frame + i, executable ? SPACE_CODE : SPACE_DATA);
    return code;
}

static int by_frame(const void *a, const void *b)
{
    uint64_t left = ((const struct space_page *)a)->frame;
    uint64_t right = ((const struct space_page *)b)->frame;

    return (left > right) - (left < right);
}

#define SPACE_USER (SPACE_DATA | SPACE_CODE)

/* Sorts, and makes one of each frame's entries. */
static void merge(struct address_space *space)
{
    size_t kept = 0;

    sort_by_key(space->page, space->count, sizeof(*space->page));
    for (size_t i = 0; i < space->count; i++) {
        struct space_page *last = kept > 0 ? &space->page[kept - 1] : NULL;

        if (last == NULL || last->frame != space->page[i].frame)
            space->page[kept++] = space->page[i];
        else if (last->kinds & SPACE_USER && space->page[i].kinds & SPACE_USER)
            last->kinds |= space->page[i].kinds | SPACE_TWICE;
        else
            last->kinds |= space->page[i].kinds;
    }
    space->count = kept;
}

int address_space_read(struct address_space *space, const struct guest_memory *memory, uint64_t cr3,
                       struct kept_space *kept)
{
    struct visit visit = {.memory = memory, .kept = kept, .found = add_found, .context = space};
    int code;

    space->count = 0;
    code = visit_all(&visit, cr3);
    space->tables = visit.tables;
    if (code == 0)
        code = delivery_read(space, memory, cr3, kept);
    merge(space);
    return code;
}

void address_space_destroy(struct address_space *space)
{
    free(space->page);
    *space = (struct address_space){.page = NULL};
}

uint32_t address_space_kinds(const struct address_space *space, uint64_t frame)
{
    const struct space_page key = {frame, 0};
    const struct space_page *page =
        space->count == 0 ? NULL : bsearch(&key, space->page, space->count, sizeof(key), by_frame);

    return page == NULL ? 0 : page->kinds;
}

/* --- where a frame is --- */

struct search {
    uint64_t frame;
    uint64_t at;
    struct space_mappings *mappings;
};

static int note_mapping(void *context, uint64_t linear, uint64_t frame, uint64_t length,
                        bool executable)
{
    struct search *search = context;

    (void)executable;
    if (search->frame - frame >= length)
        return 0;
    linear += search->frame - frame;
    if (search->mappings->count++ == 0)
        search->mappings->first = linear;
    search->mappings->at = search->mappings->at || linear == search->at;
    return 0;
}

int address_space_find(const struct guest_memory *memory, uint64_t cr3, uint64_t frame, uint64_t at,
                       struct space_mappings *mappings)
{
    struct search search = {frame, at, mappings};
    struct visit visit = {.memory = memory, .found = note_mapping, .context = &search};

    *mappings = (struct space_mappings){.count = 0};
    return visit_all(&visit, cr3);
}
