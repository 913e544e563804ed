/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "mezz/errors.h"
#include "runner.h"
#include "test_machine.h"
#include "vmm/l2_policy.h"
#include "vmm/machine_state.h"

/*
 * The seam for policies, on a whole operating system: a policy lets tiny-OS execute one page of its
 * kernel at a time, and moves it to another overlay at every step from page to page, that is, at
 * any instruction. What the programs print has to be what they print without.
 */
#define L1_MEMORY  (48ULL << 20)
#define TIMEOUT_NS (60ULL * 1000000000)
#define FAILURES   (MEZZ_EXIT_SDM_COUNT + MEZZ_EXIT_EMULATION_FAILURE - MEZZ_EXIT_OWN_FIRST)

#define TEXT       0x110000ULL /* L2-physical: guests/tiny-os's linker script */
#define PAGES      6U          /* compilers make 3 or 4 of it */
#define MOVES      400U        /* then it is left alone: remap and slots take their time */
#define TICK_EVERY 8U          /* moves */
#define TICK_NS    200000      /* after the move */

struct walker {
    struct l2_policy policy;
    struct space_overlay *page[PAGES];
    struct space_overlay *pair[PAGES - 1]; /* the page and the next: an instruction on both */
    unsigned int starts;
    unsigned int moves;
    bool armed;
    unsigned int ticks;
    unsigned int gone;
    unsigned int interrupts;
    unsigned int wrong;
};

static struct walker walker;

static unsigned int page_of(uint64_t address)
{
    return (unsigned int)((address - TEXT) / PAGE_SIZE);
}

/* The pages from first to last of the text can be executed, its other pages can not. */
static struct space_overlay *only(struct l2_vcpu *vcpu, unsigned int first, unsigned int last)
{
    struct view_patch patch[PAGES];
    struct space_overlay *overlay;
    size_t count = 0;

    for (unsigned int page = 0; page < PAGES; page++)
        if (page < first || page > last)
            patch[count++] =
                (struct view_patch){TEXT + page * PAGE_SIZE, MEZZ_EPT_READ, VIEW_PATCH_SAME};
    ck_assert_int_eq(space_overlay_create(&overlay, vcpu->l2->space, patch, count, MEZZ_EPT_RWX),
                     0);
    return overlay;
}

static int start(struct l2_policy *policy, struct l2_vcpu *vcpu)
{
    struct walker *mine = (struct walker *)policy;

    mine->starts++;
    for (unsigned int page = 0; page < PAGES; page++) {
        mine->page[page] = only(vcpu, page, page);
        if (page > 0)
            mine->pair[page - 1] = only(vcpu, page - 1, page);
    }
    ck_assert_int_eq(l2_switch_overlay(vcpu, mine->page[0], CARRY_ALL), 0);
    return 0;
}

static enum l2_verdict violation(struct l2_policy *policy, struct l2_vcpu *vcpu,
                                 const struct l2_access *access)
{
    struct walker *mine = (struct walker *)policy;
    const unsigned int page = page_of(access->address.value);
    const bool straddles = access->linear != access->rip;
    struct space_overlay *to = NULL;

    mine->wrong += access->right != MEZZ_EPT_EXECUTE || page >= PAGES || access->size != 0 ||
                   (straddles && page == 0);
    if (mine->wrong > 0)
        return L2_PASS;
    if (++mine->moves % TICK_EVERY == 0 && !mine->armed) {
        mine->armed = true;
        l2_policy_timer(vcpu, machine_time(vcpu->l2->machine) + TICK_NS);
    }
    if (mine->moves < MOVES)
        to = straddles ? mine->pair[page - 1] : mine->page[page];
    ck_assert_int_eq(l2_switch_overlay(vcpu, to, CARRY_ALL), 0);
    return L2_HANDLED;
}

static void tick(struct l2_policy *policy, struct l2_vcpu *vcpu)
{
    struct walker *mine = (struct walker *)policy;

    mine->ticks++;
    mine->armed = false;
    if (mine->moves < MOVES)
        ck_assert_int_eq(l2_switch_overlay(vcpu, mine->page[0], CARRY_ALL), 0);
}

/* Every other interrupt waits for the next tick or the next one. */
static enum l2_verdict interrupt(struct l2_policy *policy, struct l2_vcpu *vcpu, uint8_t vector)
{
    struct walker *mine = (struct walker *)policy;

    (void)vcpu;
    mine->wrong += vector < 32;
    return mine->moves < MOVES && ++mine->interrupts % 2 == 0 ? L2_HANDLED : L2_PASS;
}

static void vcpu_gone(struct l2_policy *policy, struct l2_vcpu *vcpu)
{
    struct walker *mine = (struct walker *)policy;

    mine->gone++;
    ck_assert_int_eq(l2_switch_overlay(vcpu, NULL, CARRY_ALL), 0);
}

static void destroy(struct l2_policy *policy)
{
    struct walker *mine = (struct walker *)policy;

    for (unsigned int page = 0; page < PAGES; page++) {
        ck_assert_int_eq(space_overlay_destroy(mine->page[page]), 0);
        if (page > 0)
            ck_assert_int_eq(space_overlay_destroy(mine->pair[page - 1]), 0);
    }
    mine->gone += 100;
}

static const struct l2_policy_ops ops = {
    .start = start,
    .violation = violation,
    .interrupt = interrupt,
    .tick = tick,
    .vcpu_gone = vcpu_gone,
    .destroy = destroy,
};

static struct l2_config tiny(const char *program, const char *command_line)
{
    static struct module_config module[2];

    module[0] = (struct module_config){test_image("hello.elf"), "hello.elf"};
    module[1] = (struct module_config){test_image(program), command_line};
    return (struct l2_config){
        .name = "tiny",
        .memory = 8ULL << 20,
        .image = {test_image("tiny-os.elf"), ""},
        .modules = module,
        .module_count = 2,
    };
}

/* What the guest printed goes to text. Returns how many of its instructions KVM could not run. */
static uint64_t run(const struct l2_config l2, const struct l2_policy_ops *of_policy,
                    const char *command_line, enum engine_kind engine, char *text, size_t size)
{
    struct machine_config config = {.l1_memory = L1_MEMORY,
                                    .l1_command_line = command_line,
                                    .l2 = &l2,
                                    .l2_count = 1,
                                    .timeout_ns = TIMEOUT_NS};
    struct machine *machine = test_machine_create(&config, "nested_l1.elf");
    bool done = false;
    struct console_text console;
    struct error error;
    uint64_t failures;

    walker = (struct walker){.policy = {.ops = of_policy}};
    pthread_mutex_lock(&machine->lock);
    ck_assert_int_eq(l1_vcpu_begin(machine->l1[0], &error), 0);
    while (!machine->ended) {
        l1_vcpu_step(machine->l1[0]);
        if (!done && machine->l2[0] != NULL) {
            machine->l2[0]->engine = engine;
            ck_assert_int_eq(l2_policy_add(machine->l2[0], &walker.policy), 0);
            ck_assert_int_eq(space_engine(machine->l2[0]->space), engine);
            done = true;
        }
    }
    l1_vcpu_end(machine->l1[0]);
    pthread_mutex_unlock(&machine->lock);
    console_flush(&machine->l1_console);
    machine->report.l1.console = console_text(&machine->l1_console);
    test_machine_ended_well(&machine->report, command_line);
    console = console_text(&machine->record[0]->console);
    ck_assert_uint_lt(console.length, size);
    memcpy(text, console.text, console.length);
    text[console.length] = '\0';
    failures = machine->record[0]->report.exits[FAILURES].reflect;
    machine_destroy(machine);
    return failures;
}

static const char *const lines[] = {"exits=observe", "exits=reflect"};

START_TEST(page_by_page)
{
    const enum engine_kind engine = (enum engine_kind)((unsigned int)_i % ENGINE_KINDS);
    const char *line = lines[(unsigned int)_i / ENGINE_KINDS];
    static char with[16384];

    run(tiny("fault.elf", "fault.elf"), &ops, line, engine, with, sizeof(with));
    ck_assert_ptr_nonnull(strstr(with, "hello from ring 3: hello.elf, pid 1"));
    ck_assert_ptr_nonnull(strstr(with, "fault.elf: page fault (write) at 0x0"));
    ck_assert_ptr_nonnull(strstr(with, "(1 exited, 1 faulted, 3 calls"));
    ck_assert_uint_eq(walker.starts, 1);
    ck_assert_uint_eq(walker.wrong, 0);
    ck_assert_uint_gt(walker.moves, 40); /* 88 as clang lays the kernel out, 400 as gcc does */
    ck_assert_uint_gt(walker.ticks, 0);
    ck_assert_uint_eq(walker.gone, 101);
}
END_TEST

/* --- RSM --- */

/* The second view of two: with remap it may be on the other side of the VM (views/side.h). */
static int start_second(struct l2_policy *policy, struct l2_vcpu *vcpu)
{
    struct walker *mine = (struct walker *)policy;

    mine->page[0] = only(vcpu, 0, PAGES - 1);
    return l2_switch_overlay(vcpu, mine->page[0], CARRY_ALL);
}

static void destroy_second(struct l2_policy *policy)
{
    ck_assert_int_eq(space_overlay_destroy(((struct walker *)policy)->page[0]), 0);
}

static const struct l2_policy_ops second = {
    .start = start_second, .vcpu_gone = vcpu_gone, .destroy = destroy_second};

/* It is an invalid instruction wherever it is, and nothing that L1 hears of. */
START_TEST(rsm_is_invalid)
{
    static char with[16384];

    ck_assert_uint_eq(run(tiny("ud.elf", "ud.elf rsm"), &second, "exits=reflect",
                          (enum engine_kind)_i, with, sizeof(with)),
                      0);
    ck_assert_ptr_nonnull(strstr(with, "ud.elf: invalid opcode"));
    ck_assert_ptr_null(strstr(with, "survived"));
}
END_TEST

/* --- a policy that does not start --- */

static int start_third(struct l2_policy *policy, struct l2_vcpu *vcpu)
{
    struct walker *mine = (struct walker *)policy;

    (void)vcpu;
    return ++mine->starts < 3 ? MEZZ_E_LIMIT : 0;
}

static void add_late_starter(struct machine *machine)
{
    static const struct l2_policy_ops late_ops = {.start = start_third};

    walker = (struct walker){.policy = {.ops = &late_ops}};
    ck_assert_int_eq(l2_policy_add(machine->l2[0], &walker.policy), 0);
}

START_TEST(nobody_runs_before_his_policy)
{
    struct machine_config config = {.l1_memory = L1_MEMORY, .timeout_ns = TIMEOUT_NS};
    struct machine *machine = test_machine_create(&config, "impatient_l1.elf");

    test_machine_run(machine, add_late_starter);
    test_machine_ended_well(&machine->report, "impatient_l1.elf");
    ck_assert_uint_eq(walker.starts, 3);
    machine_destroy(machine);
}
END_TEST

RUN_CASES_IF(test_machine_obstacle, "policy", 120,
             EACH(page_by_page, ELEMENTS(lines) * ENGINE_KINDS), EACH(rsm_is_invalid, ENGINE_KINDS),
             ONCE(nobody_runs_before_his_policy))
