/* SPDX-License-Identifier: Apache-2.0 */
#include "runner.h"
#include "views_guest.h"

/* What each combination of rights allows, on each engine, for ring 0 and ring 3. */

#define PAGE  0x200000ULL
#define NEXT  (PAGE + PAGE_SIZE)
#define VALUE 0x1234567

#define R     MEZZ_EPT_READ
#define W     MEZZ_EPT_WRITE
#define X     MEZZ_EPT_EXECUTE

static const struct {
    uint64_t rights;
    uint32_t allowed;
} table[] = {
    /* rwx */ {R | W | X, R | W | X},
    /* r-x */ {R | X, R | X},
    /* rw- */ {R | W, R | W},
    /* r-- */ {R, R},
    /* --- */ {0, 0},
};

static const unsigned int rings[] = {0, 3};

#define ROWS  ELEMENTS(table)
#define RINGS ELEMENTS(rings)
#define CASES (ROWS * RINGS * ENGINE_KINDS)

static struct guest_result access_page(struct guest_views *guest, unsigned int ring,
                                       uint32_t access)
{
    struct guest_run what = {.ring = ring, .rbx = PAGE};

    if (access == W) {
        what.code = CODE_WRITE;
        what.rax = 99;
        what.rbx = PAGE + 64;
    } else {
        what.code = access == R ? CODE_READ : CODE_EXECUTE;
    }
    return guest_run(guest, &what);
}

static void check_allowed(struct guest_views *guest, unsigned int ring, uint32_t access)
{
    const uint64_t *page = guest_at(guest, PAGE);
    struct guest_result result = access_page(guest, ring, access);

    ck_assert_uint_eq(result.denied, 0);
    if (access == W)
        ck_assert_uint_eq(page[8], 99);
    else
        ck_assert_uint_eq(result.value, access == R ? *page : VALUE);
}

static void check_denied(struct guest_views *guest, unsigned int ring, uint32_t access)
{
    const uint64_t *page = guest_at(guest, PAGE);
    struct guest_result result = access_page(guest, ring, access);

    ck_assert_uint_eq(result.denied, access);
    ck_assert_uint_eq(page[8], 0);
    ck_assert_uint_eq(result.address, access == W ? PAGE + 64 : PAGE);
}

START_TEST(rights)
{
    const enum engine_kind engine = (enum engine_kind)((unsigned int)_i / (ROWS * RINGS));
    const unsigned int ring = rings[(unsigned int)_i / ROWS % RINGS];
    const uint64_t page_rights = table[(unsigned int)_i % ROWS].rights;
    const uint32_t allowed = table[(unsigned int)_i % ROWS].allowed;
    struct guest_views guest;
    uint32_t view;

    guest_create(&guest, engine);
    guest_function(&guest, GUEST_L1 + PAGE, VALUE);
    view = guest_add_view(&guest);
    guest_map(&guest, view, PAGE, GUEST_L1 + PAGE, page_rights);
    guest_use_views(&guest);
    check_allowed(&guest, ring, R);
    check_allowed(&guest, ring, X);
    for (uint32_t access = R; access <= X; access <<= 1) {
        guest_switch(&guest, view, CARRY_GATE);
        if (allowed & access)
            check_allowed(&guest, ring, access);
        else
            check_denied(&guest, ring, access);
        *(guest_at(&guest, PAGE) + 8) = 0;
        guest_switch(&guest, 0, CARRY_GATE);
        check_allowed(&guest, ring, W);
        *(guest_at(&guest, PAGE) + 8) = 0;
    }
    guest_destroy(&guest);
}
END_TEST

static const struct {
    uint64_t rights;
    int error;
} refused[] = {
    /* -w- */ {W, MEZZ_E_EPT_ACCESS},
    /* -wx */ {W | X, MEZZ_E_EPT_ACCESS},
    /* --x */ {X, MEZZ_E_UNSUPPORTED},
};

#define REFUSED ELEMENTS(refused)

START_TEST(rights_that_cannot_be)
{
    struct guest_views guest;
    struct ept12_fault fault;
    uint32_t bad = 0;
    uint32_t view;

    guest_create(&guest, (enum engine_kind)((unsigned int)_i / REFUSED));
    guest_use_views(&guest);
    view = guest_add_view(&guest);
    guest_map(&guest, view, PAGE, GUEST_L1 + PAGE, refused[(unsigned int)_i % REFUSED].rights);
    ck_assert_int_eq(space_set_list(guest.space, guest.eptp, guest.views, &bad, &fault),
                     refused[(unsigned int)_i % REFUSED].error);
    ck_assert_uint_eq(bad, view);
    ck_assert_uint_eq(fault.l2.value, PAGE);
    /* The former list is still there. */
    ck_assert_uint_eq(space_list_count(guest.space), 1);
    ck_assert_int_eq(view_vcpu_switch(&guest.vcpu, view, CARRY_GATE, NULL), MEZZ_E_VIEW);
    ck_assert_uint_eq(guest_load(&guest, 3, PAGE), 0);
    guest_destroy(&guest);
}
END_TEST

/* A view whose pages PAGE and NEXT are RW-, unless a test says otherwise. */
static void create_served(struct guest_views *guest, enum engine_kind engine, uint64_t next_rights)
{
    uint32_t view;

    guest_create(guest, engine);
    view = guest_add_view(guest);
    guest_map(guest, view, PAGE, GUEST_L1 + PAGE, R | W);
    guest_map(guest, view, NEXT, GUEST_L1 + NEXT, next_rights);
    guest_use_views(guest);
    guest_switch(guest, view, CARRY_GATE);
}

START_TEST(locked_read_modify_write)
{
    struct guest_run what = {.code = CODE_ADD, .ring = 3, .rbx = PAGE + 8, .rax = 5};
    struct guest_views guest;
    struct guest_result result;

    create_served(&guest, (enum engine_kind)_i, R | W);
    guest_at(&guest, PAGE)[1] = 37;
    result = guest_run(&guest, &what);
    ck_assert_uint_eq(result.denied, 0);
    ck_assert_uint_eq(guest_at(&guest, PAGE)[1], 42);
    ck_assert_uint_ge(result.served, 2);
    guest_destroy(&guest);
}
END_TEST

START_TEST(string_instruction)
{
    struct guest_run what = {
        .code = CODE_COPY, .ring = 3, .rsi = PAGE, .rdi = PAGE + 512, .rdx = 32};
    struct guest_views guest;

    create_served(&guest, (enum engine_kind)_i, R | W);
    for (unsigned int i = 0; i < 32; i++)
        guest_at(&guest, PAGE)[i] = 1000 + i;
    ck_assert_uint_eq(guest_run(&guest, &what).denied, 0);
    for (unsigned int i = 0; i < 32; i++)
        ck_assert_uint_eq(guest_at(&guest, PAGE + 512)[i], 1000 + i);
    guest_destroy(&guest);
}
END_TEST

START_TEST(two_fragments)
{
    struct guest_run what = {.code = CODE_SSE, .ring = 3, .rbx = PAGE, .rsi = PAGE + 256};
    struct guest_views guest;
    struct guest_result result;

    create_served(&guest, (enum engine_kind)_i, R | W);
    guest_at(&guest, PAGE)[0] = 0x1111;
    guest_at(&guest, PAGE)[1] = 0x2222;
    result = guest_run(&guest, &what);
    ck_assert_uint_eq(result.denied, 0);
    ck_assert_uint_eq(result.served, 4);
    ck_assert_uint_eq(guest_at(&guest, PAGE + 256)[0], 0x1111);
    ck_assert_uint_eq(guest_at(&guest, PAGE + 256)[1], 0x2222);
    guest_destroy(&guest);
}
END_TEST

START_TEST(page_crossing)
{
    struct guest_run what = {.code = CODE_WRITE, .ring = 3, .rbx = NEXT - 4};
    struct guest_views guest;

    what.rax = 0x8877665544332211ULL;
    create_served(&guest, (enum engine_kind)_i, R | W);
    ck_assert_uint_eq(guest_run(&guest, &what).denied, 0);
    ck_assert_uint_eq(guest_at(&guest, NEXT - 8)[0], 0x4433221100000000ULL);
    ck_assert_uint_eq(guest_at(&guest, NEXT)[0], 0x88776655ULL);
    guest_destroy(&guest);
}
END_TEST

/* The half that is allowed has been written already when the other is refused: KVM makes two exits
 * of it. */
START_TEST(page_crossing_into_read_only)
{
    struct guest_run what = {.code = CODE_WRITE, .ring = 3, .rbx = NEXT - 4};
    struct guest_views guest;

    what.rax = 0x8877665544332211ULL;
    create_served(&guest, (enum engine_kind)_i, R);
    ck_assert_uint_eq(guest_run(&guest, &what).denied, W);
    ck_assert_uint_eq(guest_at(&guest, NEXT)[0], 0);
    guest_destroy(&guest);
}
END_TEST

/* The first byte of the instruction may be executed, its second may not. */
START_TEST(straddling_fetch)
{
    struct guest_run what = {.code = CODE_EXECUTE, .ring = 3, .rbx = NEXT - 1};
    struct guest_views guest;
    struct guest_result result;
    uint32_t view;

    guest_create(&guest, (enum engine_kind)_i);
    guest_function(&guest, GUEST_L1 + NEXT - 1, VALUE);
    view = guest_add_view(&guest);
    guest_map(&guest, view, NEXT, GUEST_L1 + NEXT, R | W);
    guest_use_views(&guest);
    ck_assert_uint_eq(guest_run(&guest, &what).value, VALUE);
    guest_switch(&guest, view, CARRY_GATE);
    result = guest_run(&guest, &what);
    ck_assert_uint_eq(result.denied, X);
    ck_assert_uint_eq(result.address, NEXT - 1);
    guest_destroy(&guest);
}
END_TEST

RUN_CASES_IF(guest_obstacle, "views: rights", 60, EACH(rights, CASES),
             EACH(rights_that_cannot_be, REFUSED *ENGINE_KINDS),
             EACH(locked_read_modify_write, ENGINE_KINDS), EACH(string_instruction, ENGINE_KINDS),
             EACH(two_fragments, ENGINE_KINDS), EACH(page_crossing, ENGINE_KINDS),
             EACH(page_crossing_into_read_only, ENGINE_KINDS), EACH(straddling_fetch, ENGINE_KINDS))
