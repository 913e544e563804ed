/* SPDX-License-Identifier: Apache-2.0 */
#include "views/overlay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/hot.h"
#include "host/sort.h"
#include "views/space_internal.h"

#define NO_PAGE        UINT64_MAX
#define FIRST_CAPACITY 64U

static bool rights_are_valid(uint32_t rights)
{
    return rights == 0 || ((rights & ~(uint32_t)MEZZ_EPT_RWX) == 0 && rights & MEZZ_EPT_READ);
}

/* The root's own memory lies behind L1's. */
static bool backing_is_valid(const struct space *space, uint64_t backing)
{
    const struct l1_memory *l1 = space->config.l1;
    const uint64_t size = l1->memory->size;

    return backing == VIEW_PATCH_SAME ||
           (backing % PAGE_SIZE == 0 && backing >= l1->offset + l1->size &&
            backing <= size - PAGE_SIZE);
}

/* A checked and sorted copy. */
static int copy(const struct space *space, const struct view_patch *patches, size_t count,
                uint32_t others, struct view_patch **copied)
{
    struct view_patch *to;

    if (!rights_are_valid(others) || count > EPT12_EXTENT_LIMIT)
        return -EINVAL;
    to = malloc((count + 1) * sizeof(*to));
    if (to == NULL)
        return -ENOMEM;
    if (count > 0)
        memcpy(to, patches, count * sizeof(*to));
    sort_by_key(to, count, sizeof(*to));
    for (size_t i = 0; i < count; i++) {
        if (to[i].page % PAGE_SIZE != 0 || to[i].page >> L2_PHYSICAL_BITS ||
            !rights_are_valid(to[i].rights) || !backing_is_valid(space, to[i].backing) ||
            (i > 0 && to[i].page == to[i - 1].page)) {
            free(to);
            return -EINVAL;
        }
    }
    *copied = to;
    return 0;
}

int space_overlay_create(struct space_overlay **created, struct space *space,
                         const struct view_patch *patches, size_t count, uint32_t others)
{
    struct space_overlay *overlay = calloc(1, sizeof(*overlay));
    int code;

    if (overlay == NULL)
        return -ENOMEM;
    code = copy(space, patches, count, others, &overlay->patch);
    if (code != 0) {
        free(overlay);
        return code;
    }
    overlay->space = space;
    overlay->found.page = NO_PAGE;
    overlay->count = count;
    overlay->others = others;
    space->overlays++;
    *created = overlay;
    return 0;
}

int space_overlay_replace(struct space_overlay *overlay, const struct view_patch *patches,
                          size_t count, uint32_t others)
{
    struct view_patch *next;
    int code = copy(overlay->space, patches, count, others, &next);

    if (code != 0)
        return code;
    free(overlay->patch);
    overlay->patch = next;
    overlay->walled_off = NULL;
    overlay->found.page = NO_PAGE;
    overlay->count = count;
    overlay->others = others;
    for (struct space_view *view = overlay->space->views; view != NULL; view = view->next)
        if (view->overlay == overlay)
            space_view_set_stale(view);
    return 0;
}

HOT void space_overlay_wall_off(struct space_overlay *overlay, const struct space_overlay *from)
{
    overlay->walled_off = from;
}

void space_overlay_set_aside(struct space_overlay *overlay)
{
    overlay->aside = true;
}

HOT bool space_has_walls(const struct space *space)
{
    return space->engine == &engine_remap && space->config.host->paging.kind != PAGING_HARDWARE;
}

int space_overlay_destroy(struct space_overlay *overlay)
{
    struct space *space;

    if (overlay == NULL)
        return 0;
    space = overlay->space;
    for (const struct view_vcpu *vcpu = space->vcpus; vcpu != NULL; vcpu = vcpu->next)
        if (vcpu->overlay == overlay || (vcpu->view != NULL && vcpu->view->overlay == overlay))
            return -EBUSY;
    space_drop_views(space, overlay);
    space->overlays--;
    free(overlay->patch);
    free(overlay);
    return 0;
}

void space_overlay_bare(struct space_overlay *overlay)
{
    overlay->bare = true;
}

size_t space_overlay_patches(const struct space_overlay *overlay)
{
    return overlay->count;
}

uint32_t space_overlay_others(const struct space_overlay *overlay)
{
    return overlay->others;
}

COLD static const struct view_patch *search(struct space_overlay *overlay, uint64_t page)
{
    size_t low = 0;
    size_t high = overlay->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (overlay->patch[middle].page < page)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == overlay->count || overlay->patch[low].page != page)
        return NULL;
    overlay->found = overlay->patch[low];
    return &overlay->found;
}

HOT const struct view_patch *space_overlay_find(struct space_overlay *overlay, l2_address address)
{
    const uint64_t page = address.value & ~(PAGE_SIZE - 1);

    return overlay->found.page == page ? &overlay->found : search(overlay, page);
}

static int add(struct extent_table *table, uint64_t l2, uint64_t l1, uint64_t length,
               uint32_t rights)
{
    struct extent *last = table->count ? &table->extent[table->count - 1] : NULL;

    if (length == 0 || rights == 0)
        return 0;
    if (last != NULL && last->rights == rights && last->l2.value + last->length == l2 &&
        last->l1.value + last->length == l1) {
        last->length += length;
        return 0;
    }
    if (table->count == EPT12_EXTENT_LIMIT)
        return -E2BIG;
    if (table->count == table->capacity) {
        const size_t capacity = table->capacity ? 2 * table->capacity : FIRST_CAPACITY;
        struct extent *extent = realloc(table->extent, capacity * sizeof(*extent));

        if (extent == NULL)
            return -ENOMEM;
        table->extent = extent;
        table->capacity = capacity;
    }
    table->extent[table->count++] = (struct extent){l2_at(l2), l1_at(l1), length, rights};
    return 0;
}

/* A patch where EPT12 has nothing, or in the extent. */
static int add_patch(struct extent_table *to, const struct space_overlay *overlay,
                     const struct view_patch *patch, const struct extent *in)
{
    if (patch->backing != VIEW_PATCH_SAME)
        return add(to, patch->page, patch->backing - overlay->space->config.l1->offset, PAGE_SIZE,
                   patch->rights);
    if (in == NULL)
        return 0;
    return add(to, patch->page, in->l1.value + (patch->page - in->l2.value), PAGE_SIZE,
               patch->rights & in->rights);
}

static int add_extent(struct extent_table *to, const struct space_overlay *overlay,
                      const struct extent *extent, size_t *next)
{
    const uint64_t end = extent->l2.value + extent->length;
    uint64_t at = extent->l2.value;
    int code = 0;

    while (at < end && code == 0) {
        const struct view_patch *patch = *next < overlay->count ? &overlay->patch[*next] : NULL;
        const uint64_t until = patch != NULL && patch->page < end ? patch->page : end;

        code = add(to, at, extent->l1.value + (at - extent->l2.value), until - at,
                   extent->rights & overlay->others);
        at = until;
        if (code != 0 || at == end)
            break;
        code = add_patch(to, overlay, patch, extent);
        at += PAGE_SIZE;
        (*next)++;
    }
    return code;
}

int space_overlay_compose(const struct space_overlay *overlay, const struct extent_table *from,
                          struct extent_table *to)
{
    size_t next = 0;
    int code = 0;

    to->count = 0;
    for (size_t i = 0; i < from->count && code == 0; i++) {
        while (next < overlay->count && overlay->patch[next].page < from->extent[i].l2.value &&
               code == 0)
            code = add_patch(to, overlay, &overlay->patch[next++], NULL);
        if (code == 0)
            code = add_extent(to, overlay, &from->extent[i], &next);
    }
    while (next < overlay->count && code == 0)
        code = add_patch(to, overlay, &overlay->patch[next++], NULL);
    return code;
}
