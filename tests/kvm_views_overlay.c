/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "runner.h"
#include "views/overlay.h"
#include "views_guest.h"

/* What the root lays over views: rights, pages of its own, the rest of memory; on each engine. */

#define PAGE  0x200000ULL
#define NEXT  (PAGE + PAGE_SIZE)
#define VALUE 0x1234567
#define OTHER 0x7654321

#define R     MEZZ_EPT_READ
#define W     MEZZ_EPT_WRITE
#define X     MEZZ_EPT_EXECUTE
#define RWX   (R | W | X)

/* A page behind L1's memory, and what L1 could never say of it. */
static uint64_t own_page(const struct guest_views *guest, uint32_t number)
{
    const struct l1_memory *l1 = &guest->builder.l1;

    return l1->offset + l1->size + number * PAGE_SIZE;
}

static uint64_t *own_words(const struct guest_views *guest, uint32_t number)
{
    return (uint64_t *)(void *)(guest->builder.memory.base + own_page(guest, number));
}

static struct space_overlay *lay(struct guest_views *guest, const struct view_patch *patches,
                                 size_t count, uint32_t others)
{
    struct space_overlay *overlay;

    ck_assert_int_eq(space_overlay_create(&overlay, guest->space, patches, count, others), 0);
    return overlay;
}

static void enter(struct guest_views *guest, struct space_overlay *overlay)
{
    ck_assert_int_eq(view_vcpu_overlay(&guest->vcpu, overlay, CARRY_ALL, NULL), 0);
}

static void leave(struct guest_views *guest, struct space_overlay *overlay)
{
    enter(guest, NULL);
    ck_assert_int_eq(space_overlay_destroy(overlay), 0);
}

/* What the vCPU, in a ring, may do with PAGE, whose first bytes are a function. */
static uint32_t allowed(struct guest_views *guest, unsigned int ring)
{
    static const struct guest_run accesses[] = {
        {.code = CODE_READ, .rbx = PAGE},
        {.code = CODE_WRITE, .rax = 99, .rbx = PAGE + 64},
        {.code = CODE_EXECUTE, .rbx = PAGE},
    };
    uint32_t rights = 0;

    for (unsigned int i = 0; i < ELEMENTS(accesses); i++) {
        struct guest_run what = accesses[i];

        what.ring = ring;
        if (guest_run(guest, &what).denied == 0)
            rights |= 1U << i;
    }
    return rights;
}

static const uint32_t rights_of_pages[] = {RWX, R | X, R | W, R, 0};
#define RIGHTS ELEMENTS(rights_of_pages)

/* EPT12's rights and the patch's together, never more than either. */
START_TEST(a_patch_takes_rights_away)
{
    const uint32_t ept = rights_of_pages[(unsigned int)_i / RIGHTS % RIGHTS];
    const uint32_t patch = rights_of_pages[(unsigned int)_i % RIGHTS];
    const struct view_patch patches[] = {{PAGE, patch, VIEW_PATCH_SAME}};
    struct space_overlay *overlay;
    struct guest_views guest;

    guest_create(&guest, (enum engine_kind)((unsigned int)_i / (RIGHTS * RIGHTS)));
    guest_function(&guest, GUEST_L1 + PAGE, VALUE);
    guest_map(&guest, 0, PAGE, GUEST_L1 + PAGE, ept);
    guest_use_views(&guest);
    overlay = lay(&guest, patches, 1, RWX);
    for (unsigned int ring = 0; ring <= 3; ring += 3) {
        ck_assert_uint_eq(allowed(&guest, ring), ept);
        enter(&guest, overlay);
        ck_assert_uint_eq(allowed(&guest, ring), ept & patch);
        enter(&guest, NULL);
    }
    leave(&guest, overlay);
    guest_destroy(&guest);
}
END_TEST

/* The root's page is there whether or not EPT12 has one, and L1's is not touched. */
START_TEST(pages_of_the_root)
{
    const bool mapped = (unsigned int)_i / ENGINE_KINDS % 2;
    const uint32_t rights = rights_of_pages[(unsigned int)_i / ENGINE_KINDS / 2];
    struct guest_views guest;
    struct space_overlay *overlay;
    struct view_patch patch;

    guest_create(&guest, (enum engine_kind)((unsigned int)_i % ENGINE_KINDS));
    guest_function(&guest, GUEST_L1 + PAGE, VALUE);
    patch = (struct view_patch){PAGE, rights, own_page(&guest, 2)};
    own_words(&guest, 2)[0] = *guest_at(&guest, PAGE) ^ (uint64_t)(VALUE ^ OTHER) << 8;
    if (!mapped)
        guest_map(&guest, 0, PAGE, GUEST_L1 + PAGE, 0);
    guest_use_views(&guest);
    overlay = lay(&guest, &patch, 1, RWX);
    enter(&guest, overlay);
    ck_assert_uint_eq(allowed(&guest, 3), rights);
    ck_assert_uint_eq(own_words(&guest, 2)[8], rights & W ? 99 : 0);
    ck_assert_uint_eq(guest_at(&guest, PAGE)[8], 0);
    if (rights & X) {
        const struct guest_run call = {.code = CODE_EXECUTE, .ring = 3, .rbx = PAGE};

        ck_assert_uint_eq(guest_run(&guest, &call).value, OTHER);
        enter(&guest, NULL);
        if (mapped)
            ck_assert_uint_eq(guest_run(&guest, &call).value, VALUE);
    }
    leave(&guest, overlay);
    guest_destroy(&guest);
}
END_TEST

/* The rest of memory is not executable, but for pages that are named. */
START_TEST(the_rest_loses_execution)
{
    struct view_patch patches[32] = {{PAGE, RWX, VIEW_PATCH_SAME}};
    const struct guest_run run[] = {
        {.code = CODE_EXECUTE, .ring = 3, .rbx = PAGE},
        {.code = CODE_EXECUTE, .ring = 3, .rbx = NEXT},
        {.code = CODE_READ, .ring = 3, .rbx = NEXT},
    };
    struct guest_views guest;
    struct space_overlay *overlay;
    size_t count = 1;

    guest_create(&guest, (enum engine_kind)_i);
    guest_function(&guest, GUEST_L1 + PAGE, VALUE);
    guest_function(&guest, GUEST_L1 + NEXT, OTHER);
    /* Page tables, code and stack of the guest itself. */
    for (uint64_t page = GUEST_ROOT; page < 0x9000; page += PAGE_SIZE)
        patches[count++] = (struct view_patch){page, RWX, VIEW_PATCH_SAME};
    for (uint64_t i = 0; i < 9; i++)
        patches[count++] = (struct view_patch){GUEST_TABLES + i * PAGE_SIZE, RWX, VIEW_PATCH_SAME};
    guest_use_views(&guest);
    overlay = lay(&guest, patches, count, R | W);
    enter(&guest, overlay);
    ck_assert_uint_eq(guest_run(&guest, &run[0]).value, VALUE);
    ck_assert_uint_eq(guest_run(&guest, &run[1]).denied, X);
    ck_assert_uint_eq(guest_run(&guest, &run[2]).served, 1);
    enter(&guest, NULL);
    ck_assert_uint_eq(guest_run(&guest, &run[1]).value, OTHER);
    leave(&guest, overlay);
    guest_destroy(&guest);
}
END_TEST

/* The vCPU is in it meanwhile. */
START_TEST(replaced_beneath_a_vcpu)
{
    const struct view_patch patches[] = {{PAGE, R | X, VIEW_PATCH_SAME}};
    struct guest_views guest;
    struct space_overlay *overlay;

    guest_create(&guest, (enum engine_kind)_i);
    guest_function(&guest, GUEST_L1 + PAGE, VALUE);
    guest_use_views(&guest);
    overlay = lay(&guest, NULL, 0, RWX);
    enter(&guest, overlay);
    ck_assert_uint_eq(allowed(&guest, 3), RWX);
    ck_assert_int_eq(space_overlay_replace(overlay, patches, 1, RWX), 0);
    ck_assert_uint_eq(allowed(&guest, 3), R | X);
    ck_assert_int_eq(space_overlay_destroy(overlay), -EBUSY);
    ck_assert_int_eq(space_overlay_replace(overlay, NULL, 0, RWX), 0);
    ck_assert_uint_eq(allowed(&guest, 3), RWX);
    leave(&guest, overlay);
    guest_destroy(&guest);
}
END_TEST

/* Over each of L1's views, and it stays where the vCPU goes. */
START_TEST(over_views_of_the_list)
{
    const struct view_patch patches[] = {{NEXT, 0, VIEW_PATCH_SAME}};
    const struct guest_run read = {.code = CODE_READ, .ring = 3, .rbx = NEXT};
    struct guest_views guest;
    struct space_overlay *overlay;

    guest_create(&guest, (enum engine_kind)_i);
    for (uint32_t view = 1; view < 4; view++)
        guest_add_view(&guest);
    for (uint32_t view = 0; view < 4; view++) {
        const uint64_t value = 100 + view;
        const uint64_t l1 = GUEST_SPARE_L1 + view * PAGE_SIZE;

        guest_map(&guest, view, PAGE, l1, RWX);
        ck_assert_int_eq(l1_write(&guest.builder.l1, l1_at(l1), &value, sizeof(value)), 0);
    }
    guest_use_views(&guest);
    overlay = lay(&guest, patches, 1, RWX);
    enter(&guest, overlay);
    for (uint32_t i = 0; i < 20; i++) {
        guest_switch(&guest, i * 3 % 4, CARRY_GATE);
        ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 100 + i * 3 % 4);
        ck_assert_uint_eq(guest_run(&guest, &read).denied, R);
    }
    enter(&guest, NULL);
    ck_assert_uint_eq(guest_run(&guest, &read).denied, 0);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 101);
    leave(&guest, overlay);
    guest_destroy(&guest);
}
END_TEST

/* 64 overlays with hundreds of patches each, in turn: none loses its view. */
START_TEST(many_overlays)
{
    enum {
        OVERLAYS = 64,
        OWN_PAGES = 8,
        PATCHES = 300
    };
    struct space_overlay *overlay[OVERLAYS];
    struct view_patch patches[PATCHES];
    struct space_figures before, after;
    struct guest_views guest;

    guest_create(&guest, ENGINE_FLIP);
    guest_use_views(&guest);
    for (uint32_t o = 0; o < OVERLAYS; o++) {
        for (uint64_t i = 0; i < PATCHES; i++)
            patches[i] = (struct view_patch){PAGE + 2 * i * PAGE_SIZE, R | X, VIEW_PATCH_SAME};
        patches[0].backing = own_page(&guest, o % OWN_PAGES);
        own_words(&guest, o % OWN_PAGES)[0] = 1000 + o % OWN_PAGES;
        overlay[o] = lay(&guest, patches, PATCHES, RWX);
        enter(&guest, overlay[o]);
    }
    space_figures(guest.space, &before);
    for (uint32_t i = 0; i < 3 * OVERLAYS; i++) {
        enter(&guest, overlay[i * 5 % OVERLAYS]);
        ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 1000 + i * 5 % OVERLAYS % OWN_PAGES);
    }
    space_figures(guest.space, &after);
    ck_assert_uint_eq(after.views, before.views);
    ck_assert_uint_eq(after.vms, before.vms);
    enter(&guest, NULL);
    for (uint32_t o = 0; o < OVERLAYS; o++)
        ck_assert_int_eq(space_overlay_destroy(overlay[o]), 0);
    space_figures(guest.space, &after);
    ck_assert_uint_eq(after.views, 1);
    guest_destroy(&guest);
}
END_TEST

START_TEST(patches_that_are_none)
{
    struct space_overlay *overlay;
    struct guest_views guest;

    guest_create(&guest, ENGINE_SLOTS);
    {
        const uint64_t size = guest.builder.memory.size;
        const struct {
            struct view_patch patch[2];
            uint32_t others;
        } wrong[] = {
            {{{PAGE + 1, R, VIEW_PATCH_SAME}}, RWX},
            {{{1ULL << 48, R, VIEW_PATCH_SAME}}, RWX},
            {{{PAGE, W, VIEW_PATCH_SAME}}, RWX},
            {{{PAGE, X, VIEW_PATCH_SAME}}, RWX},
            {{{PAGE, 8 | R, VIEW_PATCH_SAME}}, RWX},
            {{{PAGE, R, VIEW_PATCH_SAME}}, W | X},
            {{{PAGE, R, 0}}, RWX},                               /* before L1's memory */
            {{{PAGE, R, own_page(&guest, 0) - PAGE_SIZE}}, RWX}, /* L1's last page */
            {{{PAGE, R, own_page(&guest, 0) + 8}}, RWX},
            {{{PAGE, R, size}}, RWX},
            {{{PAGE, R, UINT64_MAX - PAGE_SIZE + 1}}, RWX},
            {{{PAGE, R, VIEW_PATCH_SAME}, {PAGE, R, VIEW_PATCH_SAME}}, RWX},
        };

        for (unsigned int i = 0; i < ELEMENTS(wrong); i++)
            ck_assert_int_eq(space_overlay_create(&overlay, guest.space, wrong[i].patch,
                                                  wrong[i].patch[1].rights != 0 ? 2 : 1,
                                                  wrong[i].others),
                             -EINVAL);
        ck_assert_int_eq(space_overlay_create(&overlay, guest.space,
                                              &(struct view_patch){PAGE, R, size - PAGE_SIZE}, 1,
                                              RWX),
                         0);
    }
    ck_assert_int_eq(space_overlay_destroy(overlay), 0);
    guest_destroy(&guest);
}
END_TEST

/* What no view has stays an exit, also where EPT12 and the root would have a page. */
START_TEST(a_hole)
{
    const struct guest_run read = {.code = CODE_READ, .ring = 3, .rbx = PAGE};
    struct guest_views guest;
    struct space_overlay *overlay;
    struct view_patch patch;

    guest_create(&guest, (enum engine_kind)_i);
    guest_use_views(&guest);
    ck_assert_uint_eq(guest_run(&guest, &read).denied, 0);
    ck_assert_int_eq(space_set_hole(guest.space, l2_at(PAGE)), 0);
    ck_assert_uint_eq(guest_run(&guest, &read).denied, R);
    patch = (struct view_patch){PAGE, RWX, own_page(&guest, 0)};
    overlay = lay(&guest, &patch, 1, RWX);
    enter(&guest, overlay);
    ck_assert_uint_eq(guest_run(&guest, &read).denied, R);
    ck_assert_uint_eq(guest_load(&guest, 3, NEXT), 0);
    leave(&guest, overlay);
    guest_destroy(&guest);
}
END_TEST

/* Where the root's own pages are, if it has any (tlb_page_free_address). */
#define ROOTS 0xfbad5000ULL
#define FLAGS 0x67ULL

/* Whether the guest can read what is at ROOTS, in the overlay, after switches between which it
 * wrote page tables. */
static bool finds_a_page(struct guest_views *guest, struct space_overlay *overlay)
{
    const uint64_t table = GUEST_TABLES + NEXT / PAGE_SIZE * 8;
    const struct guest_run read = {.code = CODE_READ, .rbx = PAGE};
    bool found = false;

    *guest_leaf(guest, PAGE) = ROOTS | FLAGS;
    for (unsigned int round = 0; round < 4; round++) {
        const struct guest_run write = {.code = CODE_INVLPG,
                                        .rax = (NEXT + round * PAGE_SIZE) | FLAGS,
                                        .rbx = table,
                                        .rdx = NEXT};

        ck_assert_uint_eq(guest_run(guest, &write).denied, 0);
        enter(guest, overlay);
        found |= guest_run(guest, &read).denied == 0;
        enter(guest, NULL);
    }
    return found;
}

/* A kernel that looks for the root's pages, and would have them executed. */
START_TEST(nothing_of_the_root)
{
    struct space_overlay *overlay;
    struct guest_views guest;
    bool has_page;

    guest_create(&guest, (enum engine_kind)((unsigned int)_i % ENGINE_KINDS));
    guest_use_views(&guest);
    overlay = lay(&guest, NULL, 0, RWX);
    if ((unsigned int)_i < ENGINE_KINDS)
        space_overlay_bare(overlay);
    has_page = guest.host.paging.kind == PAGING_HARDWARE ? guest.host.flushes_on_request
                                                         : guest.host.logs_each_write;
    ck_assert(finds_a_page(&guest, overlay) == (has_page && _i == ENGINE_KINDS + ENGINE_FLIP));
    leave(&guest, overlay);
    guest_destroy(&guest);
}
END_TEST

/* The engine comes when the vCPU has been running for a while: it goes on. */
START_TEST(an_engine_comes_later)
{
    struct guest_views guest;
    struct error error;

    guest_create_without_engine(&guest);
    guest_map(&guest, 0, PAGE, GUEST_SPARE_L1, RWX);
    guest_use_views(&guest);
    ck_assert(!space_has_engine(guest.space));
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 0);
    *(uint64_t *)l1_pointer(&guest.builder.l1, l1_at(GUEST_SPARE_L1), 8) = 7;
    ck_assert_int_eq(space_set_engine(guest.space, (enum engine_kind)_i, &guest.host, &error), 0);
    ck_assert(space_has_engine(guest.space));
    ck_assert_int_eq(space_engine(guest.space), _i);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 7);
    guest_add_view(&guest);
    guest_map(&guest, 1, PAGE, GUEST_SPARE_L1 + PAGE_SIZE, RWX);
    guest_use_views(&guest);
    guest_switch(&guest, 1, CARRY_GATE);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 0);
    guest_switch(&guest, 0, CARRY_GATE);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 7);
    guest_destroy(&guest);
}
END_TEST

RUN_CASES_IF(guest_obstacle, "views: overlays", 60,
             EACH(a_patch_takes_rights_away, RIGHTS *RIGHTS *ENGINE_KINDS),
             EACH(pages_of_the_root, RIGHTS * 2 * ENGINE_KINDS),
             EACH(the_rest_loses_execution, ENGINE_KINDS),
             EACH(replaced_beneath_a_vcpu, ENGINE_KINDS),
             EACH(over_views_of_the_list, ENGINE_KINDS), ONCE(many_overlays),
             ONCE(patches_that_are_none), EACH(a_hole, ENGINE_KINDS),
             EACH(an_engine_comes_later, ENGINE_KINDS), EACH(nothing_of_the_root, 2 * ENGINE_KINDS))
