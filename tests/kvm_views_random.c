/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random views, random accesses: each engine has to do what a plain table in C says. The sequence
 * is the same for all engines: MEZZ_SEED chooses another one, MEZZ_ACCESSES how long it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner.h"
#include "views_guest.h"

#define FIRST    0x200000ULL /* L2-physical, and linear at first */
#define PAGES    16U
#define FRAMES   24U
#define VIEWS    6U
#define WORDS    16U /* of a frame; the first one is a function */
#define ACCESSES 34000UL
#define SLOW     1000UL /* under Bochs, where an exit takes long */
#define FUNCTION 1000U  /* and the frame's number: what it returns */
#define SEED     20261124UL

#define R        MEZZ_EPT_READ
#define W        MEZZ_EPT_WRITE
#define X        MEZZ_EPT_EXECUTE

static const uint32_t possible[] = {R | W | X, R | W | X, R | X, R | W, R, 0};

/* The model: what is where, and what it holds. */
static struct {
    struct {
        uint32_t frame;
        uint32_t rights;
    } map[VIEWS][PAGES];
    uint32_t linear[PAGES]; /* the L2 page that a linear page leads to */
    uint64_t memory[FRAMES][WORDS];
    uint32_t view;
} model;

static struct {
    unsigned long accesses, denied, served, switches, maps, leaves;
} tally;

static uint64_t state;

/* xorshift64*: Vigna, 2016. */
static uint32_t draw(uint32_t below)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)((state * 0x2545f4914f6cdd1dULL >> 32) % below);
}

static uint64_t frame_at(uint32_t frame)
{
    return GUEST_SPARE_L1 + frame * PAGE_SIZE;
}

static uint64_t *word_at(const struct guest_views *guest, uint32_t frame, uint32_t word)
{
    return l1_pointer(&guest->builder.l1, l1_at(frame_at(frame) + 8ULL * word), 8);
}

static void set_map(struct guest_views *guest, uint32_t view, uint32_t page)
{
    const uint32_t frame = draw(FRAMES);
    const uint32_t rights = possible[draw(ELEMENTS(possible))];

    model.map[view][page].frame = frame;
    model.map[view][page].rights = rights;
    guest_map(guest, view, FIRST + page * PAGE_SIZE, frame_at(frame), rights);
}

static void create(struct guest_views *guest, enum engine_kind engine)
{
    memset(&model, 0, sizeof(model));
    memset(&tally, 0, sizeof(tally));
    guest_create(guest, engine);
    for (uint32_t frame = 0; frame < FRAMES; frame++)
        guest_function(guest, frame_at(frame), FUNCTION + frame);
    for (uint32_t view = 0; view < VIEWS; view++) {
        if (view > 0)
            guest_add_view(guest);
        for (uint32_t page = 0; page < PAGES; page++)
            set_map(guest, view, page);
    }
    for (uint32_t page = 0; page < PAGES; page++)
        model.linear[page] = page;
    guest_use_views(guest);
}

static void switch_view(struct guest_views *guest)
{
    model.view = draw(VIEWS);
    guest_switch(guest, model.view, draw(4) == 0 ? CARRY_ALL : CARRY_GATE);
    tally.switches++;
}

/* L1 alters an EPT12, maybe that of the view which the vCPU is in. */
static void change_map(struct guest_views *guest)
{
    const uint32_t view = draw(VIEWS);

    for (uint32_t n = 1 + draw(4); n > 0; n--)
        set_map(guest, view, draw(PAGES));
    space_invept(guest->space, draw(2) == 0 ? 0 : guest->eptp[view]);
    tally.maps++;
}

/* The guest alters its own page table. */
static void change_leaf(struct guest_views *guest)
{
    const uint32_t page = draw(PAGES);
    const uint32_t to = draw(PAGES);
    const struct guest_run what = {
        .code = CODE_INVLPG,
        .rax = (FIRST + to * PAGE_SIZE) | 0x67,
        .rbx = GUEST_TABLES + (FIRST / PAGE_SIZE + page) * 8,
        .rdx = FIRST + page * PAGE_SIZE,
    };

    ck_assert_uint_eq(guest_run(guest, &what).denied, 0);
    model.linear[page] = to;
    tally.leaves++;
}

static void root_writes(const struct guest_views *guest)
{
    const uint32_t frame = draw(FRAMES);
    const uint32_t word = 1 + draw(WORDS - 1);

    *word_at(guest, frame, word) = model.memory[frame][word] = draw(UINT32_MAX);
}

/* What the model makes of the access: the rights that it lacks, and RAX at the end. */
static uint32_t foretell(const struct guest_run *what, uint32_t page, uint32_t word,
                         uint64_t *value)
{
    static const uint32_t needs[CODE_COUNT] = {
        [CODE_READ] = R, [CODE_WRITE] = W, [CODE_EXECUTE] = X, [CODE_ADD] = R | W};
    const uint32_t l2 = model.linear[page];
    const uint32_t rights = model.map[model.view][l2].rights;
    const uint32_t frame = model.map[model.view][l2].frame;
    const uint32_t missing = needs[what->code] & ~rights;

    *value = what->rax;
    if (missing != 0)
        return missing & R ? R : missing;
    if (what->code == CODE_READ)
        *value = model.memory[frame][word];
    else if (what->code == CODE_WRITE)
        model.memory[frame][word] = what->rax;
    else if (what->code == CODE_ADD)
        model.memory[frame][word] += what->rax;
    else
        *value = FUNCTION + frame;
    return 0;
}

static void access_page(struct guest_views *guest, unsigned long number)
{
    static const enum guest_code codes[] = {CODE_READ, CODE_WRITE, CODE_EXECUTE, CODE_READ,
                                            CODE_ADD};
    const uint32_t page = draw(PAGES);
    const uint32_t word = 1 + draw(WORDS - 1);
    struct guest_run what = {.code = codes[draw(ELEMENTS(codes))],
                             .ring = draw(2) == 0 ? 0 : 3,
                             .rax = draw(UINT32_MAX),
                             .rbx = FIRST + page * PAGE_SIZE};
    struct guest_result result;
    uint32_t missing;
    uint64_t value;

    if (what.code != CODE_EXECUTE)
        what.rbx += 8ULL * word;
    result = guest_run(guest, &what);
    missing = foretell(&what, page, word, &value);
    ck_assert_msg(result.denied == missing && (missing & (R | X) || result.value == value),
                  "access %lu: code %d in ring %u, view %u, page %u, word %u: denied %u, value "
                  "%llx; it is denied %u, value %llx",
                  number, (int)what.code, what.ring, model.view, page, word, result.denied,
                  (unsigned long long)result.value, missing, (unsigned long long)value);
    tally.accesses++;
    tally.denied += missing != 0;
    tally.served += result.served != 0;
}

static void compare_memory(const struct guest_views *guest)
{
    for (uint32_t frame = 0; frame < FRAMES; frame++)
        for (uint32_t word = 1; word < WORDS; word++)
            ck_assert_uint_eq(*word_at(guest, frame, word), model.memory[frame][word]);
}

static unsigned long number_of(const char *variable, unsigned long otherwise)
{
    const char *text = getenv(variable);

    return text != NULL ? strtoul(text, NULL, 0) : otherwise;
}

static unsigned long accesses_here(void)
{
    const char *lane = getenv("MEZZ_LANE");

    return number_of("MEZZ_ACCESSES",
                     lane != NULL && strncmp(lane, "vmx", 3) == 0 ? SLOW : ACCESSES);
}

START_TEST(as_the_model)
{
    const unsigned long accesses = accesses_here();
    const unsigned long seed = number_of("MEZZ_SEED", SEED);
    struct guest_views guest;

    state = seed + 0x9e3779b97f4a7c15ULL;
    create(&guest, (enum engine_kind)_i);
    for (unsigned long n = 0; n < accesses; n++) {
        const uint32_t what = draw(64);

        if (what < 12)
            switch_view(&guest);
        else if (what == 12)
            change_map(&guest);
        else if (what < 15)
            change_leaf(&guest);
        else if (what < 17)
            root_writes(&guest);
        access_page(&guest, n);
        if (n % 1000 == 0)
            compare_memory(&guest);
    }
    compare_memory(&guest);
    printf("views_random: %s: %lu accesses, %lu of them denied, %lu served by the root; %lu "
           "switches, %lu changes of EPT12, %lu of L2's page tables; seed %lu\n",
           engine_name((enum engine_kind)_i), tally.accesses, tally.denied, tally.served,
           tally.switches, tally.maps, tally.leaves, seed);
    fflush(stdout);
    guest_destroy(&guest);
}
END_TEST

RUN_CASES_IF(guest_obstacle, "views_random", 600, EACH(as_the_model, ENGINE_KINDS))
