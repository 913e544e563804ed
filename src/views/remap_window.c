/* SPDX-License-Identifier: Apache-2.0 */
#include "views/remap_window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "views/slot_set.h"

#define WINDOW_GRAIN     (1ULL << 30)
#define PIECES_MOST      64               /* of the layout, more than twice the extents */
#define POPULATE_MOST    (10 * PAGE_SIZE) /* of one run: the least of what is long is touched */
#define SOFT_SHOWS_LEAST 8  /* between two times that a guest meets what a mapping holds back */
#define EXACT_SHOWS      64 /* after it met that earlier */

void remap_window_destroy(struct remap_window *window)
{
    if (window->base != NULL)
        munmap(window->base, window->size);
    extent_table_destroy(&window->mapped);
    extent_table_destroy(&window->layout);
    extent_table_destroy(&window->spare);
    *window = (struct remap_window){0};
}

static uint64_t end_of(const struct extent_table *extents)
{
    const struct extent *last;

    if (extents->count == 0)
        return 0;
    last = &extents->extent[extents->count - 1];
    return last->l2.value + last->length;
}

bool remap_window_fits(const struct remap_window *window, const struct extent_table *extents)
{
    return end_of(extents) <= window->size;
}

int remap_window_grow(struct remap_window *window, const struct extent_table *extents)
{
    const uint64_t size = (end_of(extents) + WINDOW_GRAIN - 1) / WINDOW_GRAIN * WINDOW_GRAIN;
    void *base;

    if (size > REMAP_WINDOW_LIMIT)
        return -EFBIG;
    base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return -errno;
    if (window->base != NULL)
        munmap(window->base, window->size);
    window->base = base;
    window->size = size;
    window->mapped.count = 0;
    window->layout.count = 0;
    return 0;
}

static int reserve(struct extent_table *table, size_t count)
{
    struct extent *extent;

    if (count <= table->capacity)
        return 0;
    extent = realloc(table->extent, count * sizeof(*extent));
    if (extent == NULL)
        return -ENOMEM;
    table->extent = extent;
    table->capacity = count;
    return 0;
}

/* Several tables are gone through together, from one address at which any of them changes to the
 * next. */
struct cursor {
    const struct extent_table *table;
    size_t next;
};

static uint64_t behind(const struct extent *extent)
{
    return extent->l2.value + extent->length;
}

/* What the table has at the address; *until becomes where that changes, if it does so earlier. */
static const struct extent *look(struct cursor *cursor, uint64_t address, uint64_t *until)
{
    const struct extent *extent;
    bool here;
    uint64_t change;

    while (cursor->next < cursor->table->count &&
           behind(&cursor->table->extent[cursor->next]) <= address)
        cursor->next++;
    if (cursor->next == cursor->table->count)
        return NULL;
    extent = &cursor->table->extent[cursor->next];
    here = extent->l2.value <= address;
    change = here ? behind(extent) : extent->l2.value;
    if (change < *until)
        *until = change;
    return here ? extent : NULL;
}

static uint32_t slot_rights(const struct extent *extent)
{
    return extent != NULL && rights_have_slot(extent->rights) ? extent->rights : 0;
}

/* --- slots --- */

static uint32_t laid_out(const struct extent *before, const struct extent *extent,
                         const struct extent *mapped, enum layout_mode mode)
{
    const uint32_t own = slot_rights(extent);

    if (before == NULL || mode == LAYOUT_EXACT)
        return own;
    if (own != 0)
        return own | before->rights;
    if (mode == LAYOUT_ANY || mapped == NULL || (extent != NULL && extent->rights & MEZZ_EPT_READ))
        return before->rights;
    return 0;
}

static void add_slot(struct extent_table *to, uint64_t from, uint64_t until, uint32_t rights,
                     bool goes_on)
{
    struct extent *last = to->count > 0 ? &to->extent[to->count - 1] : NULL;

    if (goes_on && last != NULL && behind(last) == from && last->rights == rights)
        last->length += until - from;
    else
        to->extent[to->count++] = (struct extent){l2_at(from), l1_at(from), until - from, rights};
}

static bool is_same(const struct extent_table *a, const struct extent_table *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->extent[i].l2.value != b->extent[i].l2.value ||
            a->extent[i].length != b->extent[i].length ||
            a->extent[i].rights != b->extent[i].rights)
            return false;
    return true;
}

static void take_spare(struct remap_window *window, struct extent_table *table)
{
    const struct extent_table before = *table;

    *table = window->spare;
    window->spare = before;
}

int remap_window_layout(struct remap_window *window, const struct extent_table *extents,
                        enum layout_mode mode, bool *changed)
{
    /* Pieces that nobody needs apart any more are too many some time. */
    const bool anew = window->layout.count > PIECES_MOST + 2 * extents->count;
    const struct extent_table none = {0};
    struct cursor old = {anew ? &none : &window->layout, 0};
    struct cursor now = {extents, 0};
    struct cursor there = {&window->mapped, 0};
    struct extent_table *to = &window->spare;
    const struct extent *last = NULL;
    bool soft = false;
    uint64_t until;
    int code = reserve(to, 2 * (window->layout.count + extents->count + window->mapped.count) + 1);

    if (code != 0)
        return code;
    to->count = 0;
    for (uint64_t from = 0;; from = until) {
        const struct extent *before;
        const struct extent *extent;
        uint32_t rights;

        until = UINT64_MAX;
        before = look(&old, from, &until);
        extent = look(&now, from, &until);
        rights = laid_out(before, extent, look(&there, from, &until), mode);
        if (until == UINT64_MAX)
            break;
        soft = soft || rights != slot_rights(extent);
        if (rights != 0)
            add_slot(to, from, until, rights, before == last);
        last = before;
    }
    window->soft = soft;
    *changed = !is_same(to, &window->layout);
    if (*changed)
        take_spare(window, &window->layout);
    return 0;
}

/* --- what is behind them --- */

/* A piece of the window that is to be mapped anew; rights 0: that cannot be accessed. */
struct piece {
    uint64_t l2;
    uint64_t l1;
    uint64_t length;
    uint32_t rights;
};

static int map(const struct remap_window *window, const struct l1_memory *l1,
               const struct piece *piece)
{
    const int access = piece->rights & MEZZ_EPT_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
    int flags = MAP_FIXED | MAP_NORESERVE;
    void *at;

    if (piece->length == 0)
        return 0;
    if (piece->rights == 0) {
        at = mmap(window->base + piece->l2, piece->length, PROT_NONE,
                  flags | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return at == MAP_FAILED ? -errno : 0;
    }
    /* What the guest may write, and this process has in its page tables, KVM that shadows them
     * fills in when the guest touches a neighbour; otherwise each page is a fault of its own. */
    if (piece->rights & MEZZ_EPT_WRITE && piece->length <= POPULATE_MOST)
        flags |= MAP_POPULATE;
    at = mmap(window->base + piece->l2, piece->length, access, flags | MAP_SHARED, l1->memory->fd,
              (off_t)(l1->offset + piece->l1));
    return at == MAP_FAILED ? -errno : 0;
}

static bool goes_on(const struct piece *piece, const struct piece *next)
{
    return piece->l2 + piece->length == next->l2 && piece->rights == next->rights &&
           (piece->rights == 0 || piece->l1 + piece->length == next->l1);
}

/* What is to be mapped from there on; a length of 0: it may stay as it is. */
static struct piece wanted(uint64_t from, uint64_t until, const struct extent *mapped,
                           const struct extent *extent, const struct extent *slot)
{
    const uint32_t own = slot_rights(extent);
    struct piece piece = {.l2 = from, .length = until - from};

    if (slot == NULL || (own == 0 && mapped == NULL))
        return (struct piece){0};
    if (own == 0)
        return piece;
    piece.rights = own & (MEZZ_EPT_READ | MEZZ_EPT_WRITE);
    piece.l1 = extent->l1.value + (from - extent->l2.value);
    if (mapped != NULL && mapped->l1.value + (from - mapped->l2.value) == piece.l1 &&
        (mapped->rights == piece.rights || !(slot->rights & MEZZ_EPT_WRITE)))
        return (struct piece){0};
    return piece;
}

static void note(struct extent_table *to, uint64_t from, uint64_t until, uint64_t l1,
                 uint32_t rights)
{
    struct extent *last = to->count > 0 ? &to->extent[to->count - 1] : NULL;

    if (last != NULL && behind(last) == from && last->rights == rights &&
        last->l1.value + last->length == l1)
        last->length += until - from;
    else
        to->extent[to->count++] = (struct extent){l2_at(from), l1_at(l1), until - from, rights};
}

/* What is mapped first is marked, by a flag that does nothing else here: pieces that are mapped
 * later then never become one mapping with it. To cut a mapping anew each time would have the
 * kernel tell KVM that all of its 2 MiB go. */
int remap_window_map(struct remap_window *window, const struct l1_memory *l1,
                     const struct extent_table *extents)
{
    struct cursor old = {&window->mapped, 0};
    struct cursor now = {extents, 0};
    struct cursor slots = {&window->layout, 0};
    struct extent_table *to = &window->spare;
    struct piece open = {0};
    const bool first = window->mapped.count == 0;
    uint64_t until;
    int code = reserve(to, 2 * (window->mapped.count + extents->count + window->layout.count) + 1);

    if (code != 0)
        return code;
    to->count = 0;
    for (uint64_t from = 0; code == 0; from = until) {
        const struct extent *mapped;
        const struct extent *extent;
        struct piece piece;

        until = UINT64_MAX;
        mapped = look(&old, from, &until);
        extent = look(&now, from, &until);
        piece = wanted(from, until, mapped, extent, look(&slots, from, &until));
        if (until == UINT64_MAX)
            break;
        if (piece.length == 0 && mapped != NULL)
            note(to, from, until, mapped->l1.value + (from - mapped->l2.value), mapped->rights);
        if (piece.length == 0)
            continue;
        piece.length = until - from;
        if (piece.rights != 0)
            note(to, from, until, piece.l1, piece.rights);
        if (goes_on(&open, &piece)) {
            open.length += piece.length;
            continue;
        }
        code = map(window, l1, &open);
        open = piece;
    }
    if (code == 0)
        code = map(window, l1, &open);
    if (code != 0)
        return code;
    if (first)
        madvise(window->base, window->size, MADV_DONTFORK);
    take_spare(window, &window->mapped);
    return 0;
}

/* --- whether it pays --- */

void remap_window_met(struct remap_window *window)
{
    if (window->soft_shows < SOFT_SHOWS_LEAST)
        window->exact_left = EXACT_SHOWS;
    window->soft_shows = 0;
}

bool remap_window_is_frequent(struct remap_window *window)
{
    if (window->exact_left > 0) {
        window->exact_left--;
        return true;
    }
    if (window->soft_shows < SOFT_SHOWS_LEAST)
        window->soft_shows++;
    return false;
}
