/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "runner.h"
#include "views_guest.h"

/* Views by their index, EPT12s that change, and what a switch leaves as it was. */

#define PAGE  0x200000ULL
#define VIEWS 6U

#define R     MEZZ_EPT_READ
#define W     MEZZ_EPT_WRITE
#define X     MEZZ_EPT_EXECUTE

static uint64_t spare(uint32_t number)
{
    return GUEST_SPARE_L1 + number * PAGE_SIZE;
}

static void put(struct guest_views *guest, uint64_t l1, uint64_t value)
{
    ck_assert_int_eq(l1_write(&guest->builder.l1, l1_at(l1), &value, sizeof(value)), 0);
}

/* Views that show another page each at PAGE: 100, 101, ... */
static void create(struct guest_views *guest, enum engine_kind engine, uint32_t views)
{
    guest_create(guest, engine);
    for (uint32_t view = 0; view < views; view++) {
        if (view > 0)
            guest_add_view(guest);
        guest_map(guest, view, PAGE, spare(view), MEZZ_EPT_RWX);
        put(guest, spare(view), 100 + view);
    }
    guest_use_views(guest);
}

START_TEST(each_view_its_own_page)
{
    struct guest_views guest;

    create(&guest, (enum engine_kind)_i, VIEWS);
    for (uint32_t i = 0; i < 60; i++) {
        const uint32_t view = i * 7 % VIEWS;

        guest_switch(&guest, view, CARRY_GATE);
        ck_assert_uint_eq(guest.vcpu.index, view);
        ck_assert_uint_eq(space_view_eptp(guest.vcpu.view), guest.eptp[view]);
        ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 100 + view);
        ck_assert_uint_eq(guest_load(&guest, 0, PAGE), 100 + view);
    }
    guest_destroy(&guest);
}
END_TEST

/* A switch at a gate is no vCPU ioctl but the KVM_RUN after it. */
START_TEST(a_gate_is_one_run)
{
    struct guest_views guest;
    uint64_t runs[2];
    uint64_t ioctls[2];

    create(&guest, ENGINE_FLIP, 2);
    if (guest.host.paging.kind == PAGING_HARDWARE && !guest.host.flushes_on_request) {
        guest_destroy(&guest);
        return;
    }
    for (uint32_t i = 0; i < 4; i++) {
        guest_switch(&guest, i % 2, CARRY_GATE);
        guest_load(&guest, 3, PAGE);
    }
    view_vcpu_counts(&guest.vcpu, &runs[0], &ioctls[0]);
    for (uint32_t i = 0; i < 100; i++) {
        guest_switch(&guest, i % 2, CARRY_GATE);
        guest_load(&guest, 3, PAGE);
    }
    view_vcpu_counts(&guest.vcpu, &runs[1], &ioctls[1]);
    ck_assert_uint_eq(runs[1] - runs[0], 100);
    ck_assert_uint_eq(ioctls[1], ioctls[0]);
    guest_destroy(&guest);
}
END_TEST

START_TEST(no_such_view)
{
    struct guest_views guest;
    uint64_t list[4];

    create(&guest, (enum engine_kind)_i, 2);
    list[0] = guest.eptp[0];
    list[1] = 0;
    list[2] = guest.eptp[1];
    ck_assert_int_eq(space_set_list(guest.space, list, 3, NULL, NULL), 0);
    ck_assert_int_eq(view_vcpu_switch(&guest.vcpu, 1, CARRY_GATE, NULL), MEZZ_E_VIEW);
    ck_assert_int_eq(view_vcpu_switch(&guest.vcpu, 3, CARRY_GATE, NULL), MEZZ_E_VIEW);
    ck_assert_int_eq(view_vcpu_switch(&guest.vcpu, UINT32_MAX, CARRY_ALL, NULL), MEZZ_E_VIEW);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 100);
    guest_switch(&guest, 2, CARRY_GATE);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 101);
    /* A list with rubbish in it changes nothing. */
    list[1] = 0xdeadbeef;
    ck_assert_int_eq(space_set_list(guest.space, list, 3, NULL, NULL), MEZZ_E_EPT_FORMAT);
    list[1] = MEZZ_EPTP(BUILDER_MEMORY);
    ck_assert_int_eq(space_set_list(guest.space, list, 3, NULL, NULL), MEZZ_E_EPT_ADDRESS);
    ck_assert_int_eq(space_set_list(guest.space, list, MEZZ_MAX_VIEWS + 1, NULL, NULL),
                     MEZZ_E_ARGUMENT);
    /* Nor does one that there is no time to read. */
    guest_add_view(&guest);
    list[1] = guest.eptp[2];
    guest.over = true;
    ck_assert_int_eq(space_set_list(guest.space, list, 3, NULL, NULL), -EINTR);
    guest.over = false;
    ck_assert_int_eq(view_vcpu_switch(&guest.vcpu, 1, CARRY_GATE, NULL), MEZZ_E_VIEW);
    guest_switch(&guest, 0, CARRY_GATE);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 100);
    guest_destroy(&guest);
}
END_TEST

/* The vCPU goes on in a view that is in no list any more. */
START_TEST(list_without_the_current_view)
{
    struct guest_views guest;

    create(&guest, (enum engine_kind)_i, 3);
    guest_switch(&guest, 2, CARRY_GATE);
    ck_assert_int_eq(space_set_list(guest.space, guest.eptp, 2, NULL, NULL), 0);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 102);
    guest_switch(&guest, 1, CARRY_GATE);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 101);
    ck_assert_int_eq(view_vcpu_switch(&guest.vcpu, 2, CARRY_GATE, NULL), MEZZ_E_VIEW);
    ck_assert_int_eq(view_vcpu_use(&guest.vcpu, guest.eptp[2], CARRY_GATE, NULL), 0);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 102);
    guest_destroy(&guest);
}
END_TEST

START_TEST(views_that_nobody_uses_go)
{
    struct guest_views guest;
    struct space_figures figures;

    create(&guest, (enum engine_kind)_i, 40);
    ck_assert_int_eq(space_set_list(guest.space, guest.eptp, 1, NULL, NULL), 0);
    for (uint32_t view = 0; view < 40; view++) {
        ck_assert_int_eq(view_vcpu_use(&guest.vcpu, guest.eptp[view], CARRY_GATE, NULL), 0);
        ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 100 + view);
    }
    space_figures(guest.space, &figures);
    ck_assert_uint_le(figures.views, 10);
    ck_assert_uint_le(figures.vms, 11);
    guest_destroy(&guest);
}
END_TEST

START_TEST(invept)
{
    struct guest_views guest;

    create(&guest, (enum engine_kind)((unsigned int)_i / 2), 2);
    guest_switch(&guest, 1, CARRY_GATE);
    guest_switch(&guest, (unsigned int)_i % 2, CARRY_GATE);
    put(&guest, spare(9), 900);
    guest_map(&guest, 1, PAGE, spare(9), MEZZ_EPT_RWX);
    guest_switch(&guest, 1, CARRY_GATE);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 101);
    guest_switch(&guest, (unsigned int)_i % 2, CARRY_GATE);
    space_invept(guest.space, guest.eptp[1]);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), (unsigned int)_i % 2 ? 900 : 100);
    guest_switch(&guest, 1, CARRY_GATE);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 900);
    guest_destroy(&guest);
}
END_TEST

/* EPT12 is wrong when it is read again: the view stays what it was, and the error is told each
 * time, until L1 has mended it. */
START_TEST(invept_of_rubbish)
{
    struct guest_views guest;
    struct ept12_fault fault;

    create(&guest, (enum engine_kind)_i, 2);
    guest_map(&guest, 0, PAGE, spare(3), W);
    space_invept(guest.space, 0);
    ck_assert_int_eq(view_vcpu_prepare(&guest.vcpu, &fault), MEZZ_E_EPT_ACCESS);
    ck_assert_uint_eq(fault.l2.value, PAGE);
    ck_assert_int_eq(view_vcpu_prepare(&guest.vcpu, NULL), MEZZ_E_EPT_ACCESS);
    ck_assert(space_view_has(guest.vcpu.view, l2_at(PAGE), MEZZ_EPT_RWX));
    guest_switch(&guest, 1, CARRY_GATE);
    ck_assert_int_eq(view_vcpu_switch(&guest.vcpu, 0, CARRY_GATE, NULL), MEZZ_E_EPT_ACCESS);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 101);
    guest_map(&guest, 0, PAGE, spare(0), MEZZ_EPT_RWX);
    guest_switch(&guest, 0, CARRY_GATE);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 100);
    guest_destroy(&guest);
}
END_TEST

/* L1 lets L2 write its own EPT12, and L2 does. Nothing comes of it before INVEPT, and then it is
 * judged as any other. */
START_TEST(a_view_with_its_own_table)
{
    const uint64_t bad[] = {BUILDER_MEMORY | MEZZ_EPT_RWX, 0x8000000000000ULL | MEZZ_EPT_RWX,
                            GUEST_L1 | W, GUEST_L1 | MEZZ_EPT_RWX | MEZZ_EPT_LEAF};
    const int errors[] = {MEZZ_E_EPT_ADDRESS, MEZZ_E_EPT_ADDRESS, MEZZ_E_EPT_ACCESS,
                          MEZZ_E_EPT_FORMAT};
    struct guest_views guest;
    uint64_t top;

    guest_create(&guest, (enum engine_kind)_i);
    top = guest.eptp[0] & MEZZ_EPT_ADDRESS;
    guest_map(&guest, 0, PAGE, top, MEZZ_EPT_RWX);
    guest_use_views(&guest);
    for (unsigned int i = 0; i < ELEMENTS(bad); i++) {
        const struct guest_run write = {
            .code = CODE_WRITE, .ring = 3, .rax = bad[i], .rbx = PAGE + 8};

        ck_assert_uint_eq(guest_run(&guest, &write).denied, 0);
        ck_assert_uint_eq(guest_load(&guest, 3, PAGE + 8), bad[i]);
        space_invept(guest.space, guest.eptp[0]);
        ck_assert_int_eq(view_vcpu_prepare(&guest.vcpu, NULL), errors[i]);
        put(&guest, top + 8, 0);
        ck_assert_uint_eq(guest_load(&guest, 3, PAGE + 8), 0);
    }
    guest_destroy(&guest);
}
END_TEST

START_TEST(entry_became_present)
{
    const struct guest_run read = {.code = CODE_READ, .ring = 3, .rbx = PAGE};
    struct guest_views guest;
    struct ept12_translation now;
    uint64_t builds;

    guest_create(&guest, (enum engine_kind)_i);
    guest_map(&guest, 0, PAGE, 0, 0);
    guest_use_views(&guest);
    builds = space_view_builds(guest.vcpu.view);
    ck_assert_uint_eq(guest_run(&guest, &read).denied, R);
    put(&guest, spare(0), 7);
    guest_map(&guest, 0, PAGE, spare(0), R | X);
    ck_assert_int_eq(space_view_lookup(guest.vcpu.view, l2_at(PAGE), &now), 0);
    ck_assert_uint_eq(now.rights, R | X);
    ck_assert(!space_view_has(guest.vcpu.view, l2_at(PAGE), R));
    ck_assert_int_eq(space_view_rebuild(guest.vcpu.view, NULL), 0);
    ck_assert_uint_eq(space_view_builds(guest.vcpu.view), builds + 1);
    ck_assert(space_view_has(guest.vcpu.view, l2_at(PAGE), R | X));
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 7);
    guest_destroy(&guest);
}
END_TEST

/* Whether vCPUs may be in different views at the same time. */
static bool at_once(const struct guest_views *guest)
{
    return space_engine(guest->space) == ENGINE_FLIP && guest->host.paging.kind == PAGING_HARDWARE;
}

/* A second vCPU. With flip each has its view; with one VM, and where KVM shadows page tables,
 * whoever comes second waits, unless it is in the view of the first. */
START_TEST(two_vcpus)
{
    const struct guest_run read = {.code = CODE_READ, .ring = 3, .rbx = PAGE};
    struct guest_views guest;
    struct view_vcpu second;
    struct error error;

    create(&guest, (enum engine_kind)_i, 2);
    ck_assert_int_eq(view_vcpu_create(&second, guest.space, &error), 0);
    guest_start(&second, &read);
    ck_assert_int_eq(view_vcpu_switch(&second, 1, CARRY_ALL, NULL), 0);
    for (int i = 0; i < 5; i++) {
        ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 100);
        ck_assert_uint_eq(guest_run_on(&guest, &second, &read).value, 101);
    }
    /* The first is about to run, and the second wants to. */
    ck_assert_int_eq(view_vcpu_prepare(&guest.vcpu, NULL), 0);
    ck_assert_int_eq(view_vcpu_prepare(&second, NULL), at_once(&guest) ? 0 : -EBUSY);
    view_vcpu_after(&guest.vcpu);
    if (at_once(&guest))
        view_vcpu_after(&second);
    ck_assert_int_eq(view_vcpu_switch(&second, 0, CARRY_ALL, NULL), 0);
    ck_assert_int_eq(view_vcpu_prepare(&guest.vcpu, NULL), 0);
    ck_assert_int_eq(view_vcpu_prepare(&second, NULL), 0);
    view_vcpu_after(&guest.vcpu);
    view_vcpu_after(&second);
    ck_assert_int_eq(view_vcpu_switch(&second, 1, CARRY_ALL, NULL), 0);
    ck_assert_uint_eq(guest_run_on(&guest, &second, &read).value, 101);
    view_vcpu_destroy(&second);
    /* The place of one that is gone can be taken again. */
    ck_assert_int_eq(view_vcpu_create(&second, guest.space, &error), 0);
    guest_start(&second, &read);
    ck_assert_int_eq(view_vcpu_switch(&second, 1, CARRY_ALL, NULL), 0);
    ck_assert_uint_eq(guest_run_on(&guest, &second, &read).value, 101);
    view_vcpu_destroy(&second);
    guest_destroy(&guest);
}
END_TEST

static bool has_sides(const struct guest_views *guest)
{
    return guest->host.two_sides && space_engine(guest->space) == ENGINE_REMAP;
}

static uint64_t shown(const struct guest_views *guest)
{
    struct space_figures figures;

    space_figures(guest->space, &figures);
    return figures.shown;
}

/* Remap has two views at hand, whatever they differ in; for a third one it has to alter something.
 */
START_TEST(two_views_at_hand)
{
    struct guest_views guest;
    uint64_t before;

    create(&guest, ENGINE_REMAP, 3);
    guest_map(&guest, 0, PAGE + PAGE_SIZE, 0, 0);
    space_invept(guest.space, guest.eptp[0]);
    for (uint32_t i = 0; i < 4; i++) {
        guest_switch(&guest, i % 2, CARRY_GATE);
        guest_load(&guest, 3, PAGE);
    }
    before = shown(&guest);
    for (uint32_t i = 0; i < 60; i++) {
        const struct guest_run read = {.code = CODE_READ, .ring = 3, .rbx = PAGE + PAGE_SIZE};

        guest_switch(&guest, i % 2, i % 3 == 0 ? CARRY_ALL : CARRY_GATE);
        ck_assert_uint_eq(guest_load(&guest, i % 4 / 2 * 3, PAGE), 100 + i % 2);
        ck_assert_uint_eq(guest_run(&guest, &read).denied, i % 2 == 0 ? R : 0);
    }
    if (has_sides(&guest))
        ck_assert_uint_eq(shown(&guest), before);
    guest_switch(&guest, 2, CARRY_GATE);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 102);
    ck_assert_uint_gt(shown(&guest), before);
    guest_destroy(&guest);
}
END_TEST

/* A switch before a KVM_RUN that did not come to be, and back. */
START_TEST(two_switches_before_a_run)
{
    struct guest_views guest;

    create(&guest, (enum engine_kind)_i, 2);
    for (uint32_t i = 0; i < 8; i++) {
        guest_switch(&guest, i % 2, CARRY_GATE);
        ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 100 + i % 2);
        guest_switch(&guest, (i + 1) % 2, CARRY_GATE);
        ck_assert_int_eq(view_vcpu_prepare(&guest.vcpu, NULL), 0);
        view_vcpu_after(&guest.vcpu);
        guest_switch(&guest, i % 2, CARRY_GATE);
        ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 100 + i % 2);
    }
    guest_destroy(&guest);
}
END_TEST

/* A guest without a way to handle a page fault: KVM may reset the vCPU, which is in its view
 * nevertheless. */
START_TEST(shutdown_in_each_view)
{
    const struct guest_run wild = {.code = CODE_READ, .ring = 3, .rbx = 1ULL << 40};
    struct guest_views guest;

    create(&guest, (enum engine_kind)_i, 2);
    for (uint32_t i = 0; i < 4; i++) {
        guest_switch(&guest, i % 2, CARRY_ALL);
        ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 100 + i % 2);
        guest_start(&guest.vcpu, &wild);
        guest_step(&guest.vcpu);
        ck_assert_uint_eq(guest.vcpu.kvm->run->exit_reason, KVM_EXIT_SHUTDOWN);
        ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 100 + i % 2);
    }
    guest_destroy(&guest);
}
END_TEST

/* RSM would load a processor's state from memory, where there is such a thing as its mode. */
START_TEST(rsm_does_nothing)
{
    static const uint8_t rsm[] = {0x0f, 0xaa};
    const struct guest_run execute = {.code = CODE_EXECUTE, .ring = 3, .rbx = PAGE};
    struct guest_views guest;
    bool aside = false;

    create(&guest, ENGINE_REMAP, 2);
    for (uint32_t i = 0; i < 2 && has_sides(&guest) && !aside; i++) {
        guest_switch(&guest, i, CARRY_GATE);
        guest_load(&guest, 3, PAGE);
        aside = view_vcpu_is_aside(&guest.vcpu);
        if (aside) {
            ck_assert_int_eq(l1_write(&guest.builder.l1, l1_at(spare(i)), rsm, sizeof(rsm)), 0);
            ck_assert_uint_eq(guest_run(&guest, &execute).address, PAGE);
            ck_assert(view_vcpu_is_aside(&guest.vcpu));
            ck_assert_uint_eq(guest_load(&guest, 3, PAGE) & 0xffff, 0xaa0f);
        }
    }
    ck_assert(aside || !has_sides(&guest));
    guest_destroy(&guest);
}
END_TEST

RUN_CASES_IF(guest_obstacle, "views: switch", 60, EACH(each_view_its_own_page, ENGINE_KINDS),
             ONCE(a_gate_is_one_run), EACH(no_such_view, ENGINE_KINDS),
             EACH(list_without_the_current_view, ENGINE_KINDS),
             EACH(views_that_nobody_uses_go, ENGINE_KINDS), EACH(invept, 2 * ENGINE_KINDS),
             EACH(invept_of_rubbish, ENGINE_KINDS), EACH(a_view_with_its_own_table, ENGINE_KINDS),
             EACH(entry_became_present, ENGINE_KINDS), EACH(two_vcpus, ENGINE_KINDS),
             ONCE(two_views_at_hand), EACH(two_switches_before_a_run, ENGINE_KINDS),
             EACH(shutdown_in_each_view, ENGINE_KINDS), ONCE(rsm_does_nothing))
