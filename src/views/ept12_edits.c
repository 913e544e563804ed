/* SPDX-License-Identifier: Apache-2.0 */
#include "views/ept12_edits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/hot.h"

#define FIRST_CAPACITY 16U

/* The index of the first edit at or behind the address. */
HOT static size_t lower_bound(const struct ept12_edits *edits, l2_address l2)
{
    size_t low = 0;
    size_t high = edits->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (edits->edit[middle].l2.value < l2.value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

HOT struct ept12_edit *ept12_edits_find(struct ept12_edits *edits, l2_address l2)
{
    size_t i = lower_bound(edits, l2);

    return i < edits->count && edits->edit[i].l2.value == l2.value ? &edits->edit[i] : NULL;
}

static int grow(struct ept12_edits *edits)
{
    size_t capacity = edits->capacity == 0 ? FIRST_CAPACITY : 2 * edits->capacity;
    struct ept12_edit *edit = realloc(edits->edit, capacity * sizeof(*edit));

    if (edit == NULL)
        return -ENOMEM;
    edits->edit = edit;
    edits->capacity = capacity;
    return 0;
}

int ept12_edits_add(struct ept12_edits *edits, l2_address l2, uint64_t from, uint64_t to)
{
    size_t i = lower_bound(edits, l2);
    bool replaces = i < edits->count && edits->edit[i].l2.value == l2.value;

    if (!replaces) {
        if (edits->count == edits->capacity && grow(edits) != 0)
            return -ENOMEM;
        memmove(&edits->edit[i + 1], &edits->edit[i], (edits->count - i) * sizeof(*edits->edit));
        edits->count++;
    } else if (edits->edit[i].to == from) {
        /* A second alteration before L1 applied the first: from what L1 has. */
        from = edits->edit[i].from;
    }
    if (!replaces || edits->edit[i].told)
        edits->untold++;
    edits->edit[i] = (struct ept12_edit){.l2 = l2, .from = from, .to = to};
    return 0;
}

static void remove_if(struct ept12_edits *edits, bool (*over)(const struct ept12_edit *edit))
{
    size_t kept = 0;

    for (size_t i = 0; i < edits->count; i++) {
        if (!over(&edits->edit[i]))
            edits->edit[kept++] = edits->edit[i];
        else if (!edits->edit[i].told)
            edits->untold--;
    }
    edits->count = kept;
}

void ept12_edits_remove(struct ept12_edits *edits, l2_address l2)
{
    struct ept12_edit *edit = ept12_edits_find(edits, l2);

    if (edit == NULL)
        return;
    if (!edit->told)
        edits->untold--;
    edits->count--;
    memmove(edit, edit + 1, (size_t)(edits->edit + edits->count - edit) * sizeof(*edit));
}

static bool is_told(const struct ept12_edit *edit)
{
    return edit->told;
}

static bool is_unused(const struct ept12_edit *edit)
{
    return !edit->used;
}

void ept12_edits_forget_told(struct ept12_edits *edits)
{
    remove_if(edits, is_told);
}

void ept12_edits_unuse(struct ept12_edits *edits)
{
    for (size_t i = 0; i < edits->count; i++)
        edits->edit[i].used = false;
}

void ept12_edits_remove_unused(struct ept12_edits *edits)
{
    remove_if(edits, is_unused);
}

void ept12_edits_destroy(struct ept12_edits *edits)
{
    free(edits->edit);
    *edits = (struct ept12_edits){0};
}
