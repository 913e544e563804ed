/* SPDX-License-Identifier: Apache-2.0 */
/*
 * L1's virtual objects (VMCS12, EPT12) against the root's real ones, at each moment at which they
 * have to agree: after a callback handler has returned, and when L1 enters again after a reflected
 * exit. The machine is run step by step, as machine_run.c's thread does, so that nothing lies
 * between.
 */
#include <string.h>
#include <sys/ioctl.h>

#include "runner.h"
#include "test_machine.h"
#include "vmm/machine_state.h"
#include "vmm/vmcs/vmcs12.h"
#include "vmm/vmcs/x86.h"

#define L1_MEMORY   (32ULL << 20)
#define TIMEOUT_NS  60000000000ULL
#define MSR_COUNT   10U
#define OBJECT_EPT  1U
#define OBJECT_VMCS 2U

struct outcome {
    unsigned int compared;
    unsigned int differed;
    unsigned int behind; /* L1 has not been told yet, and cannot know */
};

static bool same_extents(const struct extent_table *a, const struct extent_table *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->extent[i].l2.value != b->extent[i].l2.value ||
            a->extent[i].l1.value != b->extent[i].l1.value ||
            a->extent[i].length != b->extent[i].length ||
            a->extent[i].rights != b->extent[i].rights)
            return false;
    return true;
}

/* EPT12 as L1 has it in its memory, without what the root keeps beside it. */
static bool ept_agrees(const struct l2_vcpu *vcpu)
{
    const struct l1_memory *l1 = &vcpu->l2->machine->l1_memory;
    struct extent_table table = {0};
    bool agrees;

    ck_assert_int_eq(ept12_walk(&table, l1, vcpu->vmcs12->ept.eptp, NULL), 0);
    agrees = same_extents(&table, space_view_extents(vcpu->place.view));
    extent_table_destroy(&table);
    return agrees;
}

static bool msrs_agree(const struct l2_vcpu *vcpu)
{
    /* In the order of struct mezz_vmcs12_msrs. */
    static const uint32_t msr[MSR_COUNT] = {
        0x174,      0x175,      0x176,      0x277,      0xc0000081,
        0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102, 0xc0000103,
    };
    uint64_t known[MSR_COUNT];

    memcpy(known, &vcpu->vmcs12->msrs, sizeof(known));
    for (unsigned int i = 0; i < MSR_COUNT; i++) {
        union {
            struct kvm_msrs list;
            uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
        } get = {.list = {.nmsrs = 1}};

        get.list.entries[0].index = msr[i];
        if (ioctl(vcpu->kvm->fd, KVM_GET_MSRS, &get) == 1 && get.list.entries[0].data != known[i])
            return false;
    }
    return true;
}

static bool vmcs_agrees(const struct l2_vcpu *vcpu)
{
    const struct mezz_vmcs12 *known = vcpu->vmcs12;
    struct kvm_vcpu_events events;
    struct kvm_regs regs;

    ck_assert_int_eq(ioctl(vcpu->kvm->fd, KVM_GET_REGS, &regs), 0);
    ck_assert_int_eq(ioctl(vcpu->kvm->fd, KVM_GET_VCPU_EVENTS, &events), 0);
    return known->regs.guest_rip == regs.rip &&
           known->events.interruptibility_state == vmcs12_interruptibility(&events) &&
           known->events.activity_state == vcpu->halted && msrs_agree(vcpu);
}

static bool agrees(const struct l2_vcpu *vcpu, unsigned int objects)
{
    return (!(objects & OBJECT_EPT) || ept_agrees(vcpu)) &&
           (!(objects & OBJECT_VMCS) || vmcs_agrees(vcpu));
}

static void compare(struct outcome *outcome, const struct l2_vcpu *vcpu, unsigned int objects)
{
    outcome->compared++;
    outcome->differed += !agrees(vcpu, objects);
}

/* One step of the only vCPU of L1, and what follows from where it led. */
static void step(struct l1_vcpu *l1, struct outcome *outcome, unsigned int objects)
{
    enum l1_mode mode = l1->mode;
    const struct l2_vcpu *entered = l1->entered;
    uint64_t exits = entered != NULL ? entered->exit_count : 0;
    uint64_t handlers = l1->handler_number;

    l1_vcpu_step(l1);
    if (l1->machine->ended)
        return;
    if (mode == L1_IN_HANDLER && l1->mode == L1_ENTERED) {
        compare(outcome, entered, objects);
    } else if (mode == L1_RUNNING && l1->mode == L1_ENTERED && l1->entered->exit_count > 0) {
        if (l1->entered->vmcs12->sync.more == 0)
            compare(outcome, l1->entered, objects);
    } else if (mode == L1_ENTERED && l1->mode == L1_ENTERED && entered->exit_count > exits &&
               l1->handler_number == handlers) {
        outcome->behind += !agrees(entered, objects);
    }
}

/* Runs the machine to its end, which has to be a good one. */
static struct outcome run(const char *image, const char *command_line, const struct l2_config *l2,
                          unsigned int objects)
{
    struct machine_config config = {
        .l1_memory = L1_MEMORY,
        .l1_command_line = command_line,
        .l2 = l2,
        .l2_count = l2 != NULL,
        .timeout_ns = TIMEOUT_NS,
    };
    struct machine *machine = test_machine_create(&config, image);
    struct outcome outcome = {0};
    struct machine_report report;
    struct error error;

    pthread_mutex_lock(&machine->lock);
    ck_assert_int_eq(l1_vcpu_begin(machine->l1[0], &error), 0);
    while (!machine->ended)
        step(machine->l1[0], &outcome, objects);
    l1_vcpu_end(machine->l1[0]);
    pthread_mutex_unlock(&machine->lock);
    console_flush(&machine->l1_console);
    report = machine->report;
    report.l1.console = console_text(&machine->l1_console);
    test_machine_ended_well(&report, command_line);
    machine_destroy(machine);
    return outcome;
}

static const struct scenario {
    const char *name;
    unsigned int objects;
    unsigned int callbacks;   /* comparisons after a handler, at least */
    bool behind_when_entered; /* without applying: not all of it is in the VMCS12 by itself */
} scenarios[] = {
    {"copy", OBJECT_EPT, 20, true},
    {"copy-user", OBJECT_EPT, 20, true},
    {"dirty", OBJECT_EPT, 20, true},
    {"dirty-user", OBJECT_EPT, 20, true},
    {"copy-dirty", OBJECT_EPT, 20, true},
    {"msrs", OBJECT_VMCS, 9, false},
    {"msrs-later", OBJECT_VMCS, 1, false},
    {"ports", OBJECT_VMCS, 12, false},
    {"interruptibility", OBJECT_VMCS, 1, false},
    {"activity", OBJECT_VMCS, 1, false},
};

static struct outcome run_scenario(const struct scenario *scenario, const char *letters)
{
    char line[64];
    struct outcome outcome;

    snprintf(line, sizeof(line), "group=%s%s%s", scenario->name, letters[0] != '\0' ? " " : "",
             letters);
    outcome = run("objects_l1.elf", line, NULL, scenario->objects);
    return outcome;
}

/* After each callback, and still at each entry that follows a reflected exit. */
START_TEST(agree_after_callbacks)
{
    const struct scenario *scenario = &scenarios[_i];
    struct outcome outcome = run_scenario(scenario, "o");

    ck_assert_uint_ge(outcome.compared, scenario->callbacks);
    ck_assert_msg(outcome.differed == 0, "%s: %u of %u comparisons differ", scenario->name,
                  outcome.differed, outcome.compared);
}
END_TEST

/* No code of L1 has run when the root altered something; the next reflected exit makes it good. */
START_TEST(agree_after_reflected_exits)
{
    const struct scenario *scenario = &scenarios[_i];
    struct outcome outcome = run_scenario(scenario, "");

    ck_assert_uint_ge(outcome.compared, 2);
    ck_assert_uint_ge(outcome.behind, 1);
    ck_assert_msg(outcome.differed == 0, "%s: %u of %u comparisons differ", scenario->name,
                  outcome.differed, outcome.compared);
}
END_TEST

/* The comparison notices an L1 that does nothing with the records. */
START_TEST(differ_when_callbacks_apply_nothing)
{
    const struct scenario *scenario = &scenarios[_i];
    struct outcome outcome = run_scenario(scenario, "ou");

    ck_assert_uint_ge(outcome.differed, scenario->callbacks);
}
END_TEST

START_TEST(differ_when_nothing_is_applied)
{
    const struct scenario *scenario = &scenarios[_i];
    struct outcome outcome = run_scenario(scenario, "u");

    if (scenario->behind_when_entered)
        ck_assert_uint_eq(outcome.differed, outcome.compared);
    else
        ck_assert_uint_eq(outcome.differed, 0);
}
END_TEST

static const char *const nested_lines[] = {
    "exits=observe ept=dirty ept=cow", "exits=callback ept=dirty ept=cow",
    "exits=reflect ept=dirty ept=cow", "exits=classic ept=dirty ept=cow",
    "exits=observe ept=cow",           "exits=reflect ept=dirty",
};

/* A whole operating system on the L1 that people use. */
START_TEST(nested_l1_keeps_ept12_true)
{
    const struct module_config module = {test_image("hello.elf"), "hello.elf"};
    const struct l2_config l2 = {
        .name = "tiny",
        .memory = 4ULL << 20,
        .image = {test_image("tiny-os.elf"), ""},
        .modules = &module,
        .module_count = 1,
    };
    struct outcome outcome = run("nested_l1.elf", nested_lines[_i], &l2, OBJECT_EPT);

    ck_assert_uint_ge(outcome.compared, 5);
    ck_assert_uint_eq(outcome.differed, 0);
}
END_TEST

RUN_CASES_IF(test_machine_obstacle, "virtual objects", 60,
             EACH(agree_after_callbacks, ELEMENTS(scenarios)),
             EACH(agree_after_reflected_exits, ELEMENTS(scenarios)),
             EACH(differ_when_callbacks_apply_nothing, ELEMENTS(scenarios)),
             EACH(differ_when_nothing_is_applied, ELEMENTS(scenarios)),
             EACH(nested_l1_keeps_ept12_true, ELEMENTS(nested_lines)))
