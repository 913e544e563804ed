/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "runner.h"
#include "views/space_internal.h"
#include "views_guest.h"

/*
 * A page table entry that changed in one view is honoured in every other one. Ring 3 reads a word
 * in views A and B, so that both have a translation of it; the entry is changed while A is the
 * view; B reads again.
 */

#define WORD        0x200000ULL /* linear */
#define OLD         (GUEST_DATA + 0 * PAGE_SIZE)
#define NEW         (GUEST_DATA + 1 * PAGE_SIZE)
#define OTHER_TABLE (GUEST_DATA + 2 * PAGE_SIZE)
#define ENTRY_FLAGS 0x67ULL

#define OLD_VALUE   0x01dULL
#define NEW_VALUE   0x4e3ULL

enum {
    A,
    B
};

static void create(struct guest_views *guest, enum engine_kind engine)
{
    guest_create(guest, engine);
    guest_add_view(guest);
    /* The views differ in a page, or else there would be nothing to switch. */
    guest_map(guest, B, GUEST_DATA + 16 * PAGE_SIZE, GUEST_SPARE_L1, MEZZ_EPT_RWX);
    *guest_leaf(guest, WORD) = OLD | ENTRY_FLAGS;
    *guest_at(guest, OLD) = OLD_VALUE;
    *guest_at(guest, NEW) = NEW_VALUE;
    guest_use_views(guest);
}

static void expect(struct guest_views *guest, uint32_t view, uint64_t value)
{
    guest_switch(guest, view, CARRY_GATE);
    ck_assert_uint_eq(guest_load(guest, 3, WORD), value);
}

/* Ring 0 of the guest writes a word of a page table, one to one mapped, and says INVLPG. */
static void guest_writes(struct guest_views *guest, uint64_t at, uint64_t value)
{
    const struct guest_run what = {
        .code = CODE_INVLPG, .ring = 0, .rbx = at, .rax = value, .rdx = WORD};

    ck_assert_uint_eq(guest_run(guest, &what).denied, 0);
}

static void root_writes(struct guest_views *guest, uint64_t at, uint64_t value)
{
    __atomic_store_n(guest_at(guest, at), value, __ATOMIC_SEQ_CST);
    space_wrote(guest->space, l2_at(at), sizeof(value));
}

static void (*const writers[])(struct guest_views *, uint64_t, uint64_t) = {guest_writes,
                                                                            root_writes};

#define WRITERS ELEMENTS(writers)
#define LEAF    (GUEST_TABLES + WORD / PAGE_SIZE * 8)

START_TEST(leaf)
{
    struct guest_views guest;

    create(&guest, (enum engine_kind)((unsigned int)_i / WRITERS));
    for (int round = 0; round < 20; round++) {
        const uint32_t writer = round & 1 ? A : B;

        expect(&guest, A, OLD_VALUE);
        expect(&guest, B, OLD_VALUE);
        guest_switch(&guest, writer, CARRY_GATE);
        writers[(unsigned int)_i % WRITERS](&guest, LEAF, NEW | ENTRY_FLAGS);
        expect(&guest, A, NEW_VALUE);
        expect(&guest, B, NEW_VALUE);
        writers[(unsigned int)_i % WRITERS](&guest, LEAF, OLD | ENTRY_FLAGS);
    }
    guest_destroy(&guest);
}
END_TEST

/* The directory leads to another table; then that table changes, which B never wrote. */
START_TEST(directory)
{
    void (*writes)(struct guest_views *, uint64_t, uint64_t) = writers[(unsigned int)_i % WRITERS];
    struct guest_views guest;

    create(&guest, (enum engine_kind)((unsigned int)_i / WRITERS));
    memcpy(guest_at(&guest, OTHER_TABLE), guest_at(&guest, GUEST_TABLES + PAGE_SIZE), PAGE_SIZE);
    *guest_at(&guest, OTHER_TABLE) = NEW | ENTRY_FLAGS;
    for (int round = 0; round < 10; round++) {
        expect(&guest, B, OLD_VALUE);
        expect(&guest, A, OLD_VALUE);
        writes(&guest, GUEST_DIRECTORY + 8, OTHER_TABLE | ENTRY_FLAGS);
        expect(&guest, B, NEW_VALUE);
        expect(&guest, A, NEW_VALUE);
        writes(&guest, OTHER_TABLE, OLD | ENTRY_FLAGS);
        expect(&guest, B, OLD_VALUE);
        guest_switch(&guest, A, CARRY_GATE);
        writes(&guest, OTHER_TABLE, NEW | ENTRY_FLAGS);
        expect(&guest, B, NEW_VALUE);
        guest_switch(&guest, A, CARRY_GATE);
        writes(&guest, GUEST_DIRECTORY + 8, (GUEST_TABLES + PAGE_SIZE) | ENTRY_FLAGS);
    }
    guest_destroy(&guest);
}
END_TEST

/* A translation that is gone is gone in the sibling: ring 3 gets a page fault, and without an IDT
 * that is the end. */
START_TEST(unmapped)
{
    const struct guest_run read = {.code = CODE_READ, .ring = 3, .rbx = WORD};
    struct guest_views guest;

    create(&guest, (enum engine_kind)((unsigned int)_i / WRITERS));
    expect(&guest, B, OLD_VALUE);
    expect(&guest, A, OLD_VALUE);
    writers[(unsigned int)_i % WRITERS](&guest, LEAF, 0);
    guest_switch(&guest, B, CARRY_GATE);
    guest_start(&guest.vcpu, &read);
    guest_step(&guest.vcpu);
    ck_assert_uint_eq(guest.vcpu.kvm->run->exit_reason, KVM_EXIT_SHUTDOWN);
    guest_destroy(&guest);
}
END_TEST

/* More pages were written than the log holds. */
START_TEST(log_overflows)
{
    struct guest_views guest;

    create(&guest, (enum engine_kind)_i);
    expect(&guest, B, OLD_VALUE);
    expect(&guest, A, OLD_VALUE);
    root_writes(&guest, LEAF, NEW | ENTRY_FLAGS);
    for (uint64_t at = GUEST_DATA + (64ULL << 12); at < GUEST_MEMORY; at += PAGE_SIZE)
        space_wrote(guest.space, l2_at(at), 8);
    expect(&guest, B, NEW_VALUE);
    expect(&guest, A, NEW_VALUE);
    guest_destroy(&guest);
}
END_TEST

/* The table is in a page that B may only read and execute. With NPT the processor wants to write
 * what it walks, and KVM makes nonsense of it: there tables have to be RWX. */
START_TEST(read_only_table)
{
    struct guest_views guest;

    guest_create(&guest, (enum engine_kind)_i);
    if (guest.host.paging.kind == PAGING_HARDWARE) {
        guest_destroy(&guest);
        return;
    }
    guest_add_view(&guest);
    guest_map(&guest, B, GUEST_TABLES + PAGE_SIZE, GUEST_L1 + GUEST_TABLES + PAGE_SIZE,
              MEZZ_EPT_READ | MEZZ_EPT_EXECUTE);
    *guest_leaf(&guest, WORD) = OLD | ENTRY_FLAGS;
    *guest_at(&guest, OLD) = OLD_VALUE;
    *guest_at(&guest, NEW) = NEW_VALUE;
    guest_use_views(&guest);
    expect(&guest, B, OLD_VALUE);
    expect(&guest, A, OLD_VALUE);
    guest_writes(&guest, LEAF, NEW | ENTRY_FLAGS);
    expect(&guest, B, NEW_VALUE);
    guest_destroy(&guest);
}
END_TEST

/* L1 edited L2's page tables by itself, and says INVEPT. */
START_TEST(invept)
{
    struct guest_views guest;

    create(&guest, (enum engine_kind)_i);
    expect(&guest, B, OLD_VALUE);
    expect(&guest, A, OLD_VALUE);
    *guest_at(&guest, LEAF) = NEW | ENTRY_FLAGS;
    space_invept(guest.space, 0);
    expect(&guest, A, NEW_VALUE);
    expect(&guest, B, NEW_VALUE);
    guest_destroy(&guest);
}
END_TEST

/* One vCPU stays in B, where the other never is. */
START_TEST(second_vcpu)
{
    const struct guest_run read = {.code = CODE_READ, .ring = 3, .rbx = WORD};
    struct guest_views guest;
    struct view_vcpu second;
    struct error error;

    create(&guest, ENGINE_FLIP);
    ck_assert_int_eq(view_vcpu_create(&second, guest.space, &error), 0);
    guest_start(&second, &read);
    ck_assert_int_eq(view_vcpu_switch(&second, B, CARRY_ALL, NULL), 0);
    for (int round = 0; round < 10; round++) {
        ck_assert_uint_eq(guest_run_on(&guest, &second, &read).value, OLD_VALUE);
        guest_writes(&guest, LEAF, NEW | ENTRY_FLAGS);
        ck_assert_uint_eq(guest_run_on(&guest, &second, &read).value, NEW_VALUE);
        ck_assert_uint_eq(guest_load(&guest, 3, WORD), NEW_VALUE);
        guest_writes(&guest, LEAF, OLD | ENTRY_FLAGS);
    }
    view_vcpu_destroy(&second);
    guest_destroy(&guest);
}
END_TEST

/* Where page tables are shadowed the change is not seen without this layer: or the other tests
 * would prove nothing. */
START_TEST(stale_without_us)
{
    struct guest_run read = {.code = CODE_READ, .ring = 3, .rbx = WORD};
    struct guest_views guest;
    uint64_t value;

    create(&guest, ENGINE_FLIP);
    if (guest.host.paging.kind == PAGING_SHADOW) {
        expect(&guest, B, OLD_VALUE);
        expect(&guest, A, OLD_VALUE);
        guest_writes(&guest, LEAF, NEW | ENTRY_FLAGS);
        guest_switch(&guest, B, CARRY_GATE);
        guest_start(&guest.vcpu, &read);
        ck_assert_int_eq(kvm_vcpu_run(guest.vcpu.kvm), 0);
        memcpy(&value, guest.vcpu.kvm->run->mmio.data, sizeof(value));
        ck_assert_uint_eq(value, OLD_VALUE);
        expect(&guest, B, NEW_VALUE);
    }
    guest_destroy(&guest);
}
END_TEST

static bool is_asked(const struct guest_views *guest)
{
    return tlb_page_is_asked(&guest->vcpu.core->vm->tlb, guest->vcpu.number);
}

/* Emulated processors forget translations at each exit, and would hide that one is missing. */
START_TEST(each_flip_empties_the_tlb)
{
    const enum view_carry carry = _i == 0 ? CARRY_GATE : CARRY_ALL;
    const struct guest_run loop = {.code = CODE_LOOP, .ring = 3, .rbx = WORD};
    struct guest_views guest;

    create(&guest, ENGINE_FLIP);
    if (guest.host.paging.kind == PAGING_HARDWARE && guest.host.flushes_on_request) {
        guest_start(&guest.vcpu, &loop);
        for (uint32_t round = 0; round < 8; round++) {
            guest_switch(&guest, round & 1 ? A : B, carry);
            /* One that has never run has nothing to forget. */
            ck_assert_int_eq(is_asked(&guest), round >= 2 || (round & 1));
            guest_step(&guest.vcpu);
            ck_assert(!is_asked(&guest));
            guest_step(&guest.vcpu);
        }
    }
    guest_destroy(&guest);
}
END_TEST

/* What is used again is cleared, and KVM forgets where it was to look. */
START_TEST(each_flip_of_a_new_vcpu_empties_the_tlb)
{
    const struct guest_run loop = {.code = CODE_LOOP, .ring = 3, .rbx = WORD};
    struct guest_views guest;
    struct error error;

    create(&guest, ENGINE_FLIP);
    for (uint32_t round = 0; round < 12; round++) {
        if (round % 4 == 0) {
            view_vcpu_destroy(&guest.vcpu);
            ck_assert_int_eq(view_vcpu_create(&guest.vcpu, guest.space, &error), 0);
            guest_switch(&guest, A, CARRY_ALL);
            guest_start(&guest.vcpu, &loop);
            guest_step(&guest.vcpu);
        }
        guest_switch(&guest, round & 1 ? A : B, CARRY_GATE);
        if (guest.host.paging.kind == PAGING_HARDWARE && guest.host.flushes_on_request)
            ck_assert_int_eq(is_asked(&guest), round != 0);
        guest_step(&guest.vcpu);
        if (guest.host.paging.kind == PAGING_HARDWARE && guest.host.flushes_on_request)
            ck_assert(!is_asked(&guest));
    }
    guest_destroy(&guest);
}
END_TEST

/* While only ring 3 runs, nothing is synchronised, on hosts for which flip is chosen. */
START_TEST(ring_3_is_free)
{
    struct guest_views guest;
    struct space_figures before;
    struct space_figures after;

    create(&guest, ENGINE_FLIP);
    if (engine_choose(&guest.host, NULL) != ENGINE_FLIP) {
        guest_destroy(&guest);
        return;
    }
    for (int round = 0; round < 4; round++) {
        expect(&guest, A, OLD_VALUE);
        expect(&guest, B, OLD_VALUE);
    }
    space_figures(guest.space, &before);
    for (int round = 0; round < 100; round++) {
        expect(&guest, A, OLD_VALUE);
        expect(&guest, B, OLD_VALUE);
    }
    space_figures(guest.space, &after);
    ck_assert_uint_eq(after.switches - before.switches, 200);
    ck_assert_uint_eq(after.syncs, before.syncs);
    ck_assert_uint_eq(after.zaps, before.zaps);
    guest_destroy(&guest);
}
END_TEST

RUN_CASES_IF(guest_obstacle, "views: coherence", 120, EACH(leaf, WRITERS *ENGINE_KINDS),
             EACH(directory, WRITERS *ENGINE_KINDS), EACH(unmapped, WRITERS *ENGINE_KINDS),
             EACH(log_overflows, ENGINE_KINDS), EACH(read_only_table, ENGINE_KINDS),
             EACH(invept, ENGINE_KINDS), ONCE(second_vcpu), ONCE(stale_without_us),
             ONCE(ring_3_is_free), EACH(each_flip_empties_the_tlb, 2),
             ONCE(each_flip_of_a_new_vcpu_empties_the_tlb))
