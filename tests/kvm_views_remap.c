/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "runner.h"
#include "views/overlay.h"
#include "views/space_internal.h"
#include "views_guest.h"

/* Slots of the remap engine that stay, although a view has less than they say. */

#define PAGE        0x200000ULL
#define PAGES       4U
#define TABLE       (GUEST_DATA + 3 * PAGE_SIZE)
#define WORD        0x400000ULL /* linear: by a table of its own */
#define TARGET      GUEST_DATA
#define VALUE       0x5ec4e7ULL
#define ROUNDS      6U

#define R           MEZZ_EPT_READ
#define W           MEZZ_EPT_WRITE
#define X           MEZZ_EPT_EXECUTE

#define ENTRY_FLAGS 0x67ULL

enum {
    A,
    B,
    C
};

static uint64_t slots_made(const struct guest_views *guest)
{
    const struct view_vm *vm = guest->space->vms;

    return vm->slots.made + vm->other.slots.made;
}

/* Three, as two may each be on a side of the VM. */
static void create(struct guest_views *guest, const uint64_t *rights)
{
    guest_create(guest, ENGINE_REMAP);
    guest_add_view(guest);
    guest_add_view(guest);
    for (unsigned int i = 0; i < PAGES; i++) {
        const uint64_t page = PAGE + i * PAGE_SIZE;

        *guest_at(guest, page) = VALUE + i;
        guest_map(guest, B, page, GUEST_L1 + page, rights[i]);
        guest_map(guest, C, page + 8 * PAGE_SIZE, GUEST_SPARE_L1, R | W | X);
    }
    guest_use_views(guest);
}

static void go_round(struct guest_views *guest)
{
    for (uint32_t view = A; view <= C; view++) {
        guest_switch(guest, view, CARRY_GATE);
        ck_assert_uint_eq(guest_load(guest, 3, TARGET), 0);
        if (view != B)
            ck_assert_uint_eq(guest_load(guest, 3, PAGE + 2 * PAGE_SIZE), VALUE + 2);
    }
}

/* Where KVM shadows page tables, what a view cannot even read costs a slot. */
START_TEST(slots_stay)
{
    static const uint64_t rights[PAGES] = {R | X, R | W, R, 0};
    static const uint64_t readable[PAGES] = {R | X, R | W, R, R | W | X};
    struct guest_views guest;
    uint64_t made;

    create(&guest, rights);
    if (guest.host.paging.kind != PAGING_HARDWARE) {
        guest_destroy(&guest);
        create(&guest, readable);
    }
    go_round(&guest);
    go_round(&guest);
    made = slots_made(&guest);
    for (unsigned int round = 0; round < ROUNDS; round++)
        go_round(&guest);
    ck_assert_uint_eq(slots_made(&guest), made);
    guest_destroy(&guest);
}
END_TEST

/* Whoever always reads what the mapping holds back gets slots, and no exit more each time. */
START_TEST(slots_where_they_are_cheaper)
{
    static const uint64_t rights[PAGES] = {R, R, R, R};
    const struct guest_run read = {.code = CODE_READ, .ring = 3, .rbx = PAGE};
    struct guest_views guest;
    uint64_t runs, before, other;

    create(&guest, rights);
    for (unsigned int round = 0; round < ROUNDS; round++) {
        go_round(&guest);
        guest_switch(&guest, B, CARRY_GATE);
        view_vcpu_counts(&guest.vcpu, &before, &other);
        ck_assert_uint_eq(guest_run(&guest, &read).value, VALUE);
        view_vcpu_counts(&guest.vcpu, &runs, &other);
    }
    ck_assert_uint_eq(runs - before, 2); /* the read's, and the doorbell's */
    guest_destroy(&guest);
}
END_TEST

/* A table in a page that B does not have leads nowhere there, whatever A's shadows say. */
START_TEST(no_table_in_what_a_view_lacks)
{
    const struct guest_run loop = {.code = CODE_LOOP, .ring = 3, .rbx = WORD};
    struct guest_views guest;

    guest_create(&guest, ENGINE_REMAP);
    if (guest.host.paging.kind == PAGING_HARDWARE) {
        guest_destroy(&guest); /* and hosts differ in what becomes of it */
        return;
    }
    guest_add_view(&guest);
    guest_map(&guest, B, TABLE, 0, 0);
    *guest_at(&guest, TARGET) = VALUE;
    *guest_at(&guest, TABLE) = TARGET | ENTRY_FLAGS;
    *guest_at(&guest, GUEST_DIRECTORY + WORD / LARGE_PAGE_SIZE * 8) = TABLE | ENTRY_FLAGS;
    guest_use_views(&guest);
    for (unsigned int round = 0; round < ROUNDS; round++) {
        guest_switch(&guest, A, CARRY_GATE);
        ck_assert_uint_eq(guest_load(&guest, 3, WORD), VALUE);
        guest_switch(&guest, B, CARRY_GATE);
        ck_assert_uint_eq(guest_load(&guest, 3, TARGET), VALUE);
    }
    guest_switch(&guest, A, CARRY_GATE);
    guest_start(&guest.vcpu, &loop);
    for (unsigned int i = 0; i < ROUNDS; i++)
        guest_step(&guest.vcpu);
    ck_assert_uint_eq(guest.vcpu.kvm->run->exit_reason, KVM_EXIT_MMIO);
    guest_switch(&guest, B, CARRY_GATE);
    guest_step(&guest.vcpu);
    ck_assert_uint_eq(guest.vcpu.kvm->run->exit_reason, KVM_EXIT_SHUTDOWN);
    guest_destroy(&guest);
}
END_TEST

/* Under overlays that somebody has looked at, no slot is touched for what is absent, either. */
START_TEST(slots_stay_behind_a_wall)
{
    const struct view_patch patch[] = {{PAGE, 0, VIEW_PATCH_SAME},
                                       {PAGE + PAGE_SIZE, R, VIEW_PATCH_SAME}};
    struct space_overlay *open, *closed;
    struct guest_views guest;
    uint64_t made = 0;

    guest_create(&guest, ENGINE_REMAP);
    guest_use_views(&guest);
    ck_assert_int_eq(space_overlay_create(&open, guest.space, NULL, 0, MEZZ_EPT_RWX), 0);
    ck_assert_int_eq(space_overlay_create(&closed, guest.space, patch, 2, MEZZ_EPT_RWX), 0);
    *guest_at(&guest, PAGE) = VALUE;
    for (unsigned int round = 0; round < ROUNDS; round++) {
        const struct guest_run read = {.code = CODE_READ, .ring = 3, .rbx = PAGE};

        space_overlay_wall_off(open, round < ROUNDS - 1 ? closed : NULL);
        ck_assert_int_eq(view_vcpu_overlay(&guest.vcpu, open, CARRY_GATE, NULL), 0);
        ck_assert_uint_eq(guest_load(&guest, 3, PAGE), VALUE);
        if (round == 2)
            made = slots_made(&guest);
        if (round == ROUNDS - 1)
            ck_assert_uint_eq(slots_made(&guest), made);
        ck_assert_int_eq(view_vcpu_overlay(&guest.vcpu, closed, CARRY_GATE, NULL), 0);
        ck_assert_uint_eq(guest_load(&guest, 3, TARGET), 0);
        if (round == ROUNDS - 1)
            ck_assert_uint_eq(guest_run(&guest, &read).denied, R);
    }
    ck_assert_int_eq(view_vcpu_overlay(&guest.vcpu, NULL, CARRY_ALL, NULL), 0);
    ck_assert_int_eq(space_overlay_destroy(open), 0);
    ck_assert_int_eq(space_overlay_destroy(closed), 0);
    guest_destroy(&guest);
}
END_TEST

RUN_CASES_IF(guest_obstacle, "views: remap", 60, ONCE(slots_stay),
             ONCE(slots_where_they_are_cheaper), ONCE(no_table_in_what_a_view_lacks),
             ONCE(slots_stay_behind_a_wall))
