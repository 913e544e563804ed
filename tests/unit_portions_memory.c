/* SPDX-License-Identifier: Apache-2.0 */
/* The guard: what a portion's pages hold, where they lead, and whose they are. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "portions_world.h"
#include "runner.h"
#include "unit_portions_builder.h"

/* 19: at the first entry, and written after the scan. */
START_TEST(malicious)
{
    world_setup_rules("rule evil { strings: $a = \"MARKER\" condition: $a }", REFUSAL_KILL);
    world_enter();
    world_interrupt(MIDDLE, true, REASON_INTERRUPT);
    memcpy(&world_frame[2][0x80], "MARKER", 6);
    world_go_back(MIDDLE, STACK - 64, VERDICT_SWITCH,
                  REASON_RESUME_POINT); /* no generation, no scan */
    world_interrupt(MIDDLE, true, REASON_INTERRUPT);
    world_generation[2]++;
    world_go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_PATTERN);
    ck_assert_str_eq(outcome.rule, "evil");
    world_fetch(SIGN, VERDICT_KILL, REASON_PATTERN);
    ck_assert_uint_eq(vcpu.view, 0);
    world_finish();
}
END_TEST

START_TEST(malicious_from_the_start)
{
    world_setup_rules("rule any_code { condition: true }", REFUSAL_STOP);
    world_fetch(SIGN, VERDICT_STOP, REASON_PATTERN);
    world_fetch(MIDDLE, VERDICT_STOP, REASON_NOT_ENTRY);
    ck_assert_uint_eq(vcpu.view, 0);
    world_finish();
}
END_TEST

/* Data that somebody has written before the first entry is not what the portion starts with. */
START_TEST(altered)
{
    struct portion_guard_access access;

    world_setup_rules("rule evil { strings: $a = \"MARKER\" condition: $a }", REFUSAL_KILL);
    world_frame[3][PAGE_SIZE - 1] = 1;
    world_fetch(MIDDLE, VERDICT_KILL, REASON_NOT_ENTRY);
    world_fetch(SIGN, VERDICT_KILL, REASON_DATA_DIFFERS);
    ck_assert_uint_eq(vcpu.view, 0);
    /* Another process is not concerned. */
    world_map_process(0x2000, 1, 5);
    access = world_access(ACCESS_FETCH, 0x2000, SIGN);
    world_judge(&access, VERDICT_SWITCH, REASON_ENTRY);
    world_finish();
}
END_TEST

/* The program fills it before: its code is judged as ever. */
START_TEST(altered_and_tolerated)
{
    world_setup_rules("rule evil { strings: $a = \"MARKER\" condition: $a }", REFUSAL_KILL);
    world_tolerate(REASON_DATA_DIFFERS);
    world_frame[3][0] = 1;
    world_fetch(MIDDLE, VERDICT_KILL, REASON_NOT_ENTRY);
    world_fetch(SIGN, VERDICT_SWITCH, REASON_DATA_DIFFERS);
    ck_assert(outcome.decision.refused);
    ck_assert_uint_eq(vcpu.view, 1);
    ck_assert_uint_eq(portion_guard_scans(guard), 1);
    ck_assert_uint_eq(world_frame[3][0], 1);
    world_interrupt(MIDDLE, true, REASON_INTERRUPT);
    world_fetch(SIGN, VERDICT_SWITCH, REASON_ENTRY); /* said once */
    world_finish();
}
END_TEST

START_TEST(altered_with_other_code)
{
    world_setup_rules("rule any_code { condition: true }", REFUSAL_KILL);
    world_tolerate(REASON_DATA_DIFFERS);
    world_frame[3][0] = 1;
    world_fetch(SIGN, VERDICT_KILL, REASON_PATTERN);
    world_finish();
}
END_TEST

/* 9: a page of the portion leads elsewhere: what was there is lost, and to nobody's profit. */
START_TEST(remapped)
{
    world_setup();
    world_enter();
    world_interrupt(MIDDLE, true, REASON_INTERRUPT);
    world_map(0x1000, KEY, 9);
    world_go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_NOT_ENTRY);
    ck_assert_uint_eq(outcome.released, 1);
    ck_assert_int_eq(outcome.released_for, REASON_REMAPPED);
    ck_assert_uint_eq(world_frame[3][0], 0);
    /* Anew, with the page that is there now. */
    world_enter();
    ck_assert_uint_eq(outcome.released, 0);
    world_finish();
}
END_TEST

/* Not by the view that some vCPU still sees. */
START_TEST(remapped_and_still_seen)
{
    world_setup();
    world_enter();
    world_interrupt(MIDDLE, true, REASON_INTERRUPT);
    world_map(0x1000, KEY, 9);
    world_go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_NOT_ENTRY);
    world_occupied = 1;
    world_fetch(SIGN, VERDICT_SWITCH, REASON_ENTRY);
    world_occupied = 0;
    ck_assert_uint_eq(vcpu.view, 2);
    world_finish();
}
END_TEST

/* The same with this protection switched off. */
START_TEST(remapped_and_tolerated)
{
    world_setup();
    world_tolerate(REASON_REMAPPED);
    world_enter();
    world_interrupt(MIDDLE, true, REASON_INTERRUPT);
    world_map(0x1000, KEY, 9);
    world_go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_NOT_ENTRY);
    ck_assert_uint_eq(outcome.released, 1);
    ck_assert_uint_eq(world_frame[3][0], 0xaa);
    world_finish();
}
END_TEST

START_TEST(remapped_code)
{
    world_setup();
    memcpy(world_frame[10], world_frame[1], PAGE_SIZE);
    world_frame[10][0x33] ^= 1;
    world_map(0x1000, SIGN, 10);
    world_map(0x1000, SIGN + PAGE_SIZE, 2);
    world_fetch(SIGN + PAGE_SIZE, VERDICT_KILL, REASON_CODE_DIFFERS);
    world_map(0x1000, SIGN, 0);
    world_fetch(SIGN + PAGE_SIZE, VERDICT_KILL, REASON_NOT_MAPPED);
    /* One frame for two pages of it. */
    memcpy(world_frame[10], world_frame[1], PAGE_SIZE);
    world_map(0x1000, SIGN, 1);
    world_map(0x1000, KEY, 1);
    world_fetch(SIGN, VERDICT_KILL, REASON_FRAME_TAKEN);
    world_finish();
}
END_TEST

/* Another process with the same program has its own key; with the first one's it has nothing. */
START_TEST(other_process)
{
    struct portion_guard_access access;

    world_setup();
    world_enter();
    world_interrupt(MIDDLE, true, REASON_INTERRUPT);
    world_map_process(0x2000, 1, 3);
    access = world_access(ACCESS_FETCH, 0x2000, SIGN);
    world_judge(&access, VERDICT_KILL, REASON_FRAME_TAKEN);
    world_map(0x2000, KEY, 5);
    world_judge(&access, VERDICT_SWITCH, REASON_ENTRY);
    ck_assert_uint_eq(vcpu.view, 2);
    /* Not even from inside its own. */
    access = world_access(ACCESS_READ, 0x2000, 0x500000);
    access.frame = 3 * PAGE_SIZE;
    world_judge(&access, VERDICT_KILL, REASON_ALIAS);
    ck_assert_uint_eq(vcpu.view, 2);
    world_interrupt(MIDDLE, true, REASON_INTERRUPT);
    /* The resume point of one is not the other's. */
    access = world_access(ACCESS_FETCH, 0x2000, MIDDLE + 9);
    world_judge(&access, VERDICT_KILL, REASON_NOT_ENTRY);
    world_finish();
}
END_TEST

/* A program ends inside its portion; its page is another's later. */
START_TEST(reused_page)
{
    struct portion_guard_access access;

    world_setup();
    world_enter();
    world_interrupt(MIDDLE, true, REASON_INTERRUPT);
    world_map(0x1000, SIGN, 0);
    world_map(0x1000, KEY, 0);
    world_map(0x2000, 0x700000, 3);
    access = world_access(ACCESS_READ, 0x2000, 0x700010);
    world_judge(&access, VERDICT_RESUME, REASON_NONE);
    ck_assert_int_eq(outcome.released_for, REASON_OWNER_GONE);
    ck_assert_uint_eq(world_frame[3][0x10], 0);
    world_finish();
}
END_TEST

START_TEST(forgotten)
{
    struct portion_guard_vcpu stale;
    uint64_t version;

    world_setup();
    version = portion_guard_version(guard);
    world_enter();
    stale = vcpu;
    ck_assert_uint_gt(portion_guard_version(guard), version);
    portion_guard_forget(guard, 0x1000);
    ck_assert_uint_eq(world_frame[3][0], 0);
    world_enter();
    /* A vCPU that was in the view of this number before is not in it. */
    vcpu = stale;
    world_fetch(MIDDLE, VERDICT_KILL, REASON_NOT_ENTRY);
    ck_assert_uint_eq(vcpu.view, 0);
    world_finish();
}
END_TEST

/* Each address space has data of its own. */
static int many_translate(void *context, uint64_t cr3, uint64_t linear, uint64_t *frame)
{
    (void)context;
    *frame = linear == KEY ? (cr3 / 0x1000 + 100) * PAGE_SIZE : (linear - SIGN) + PAGE_SIZE;
    return 0;
}

static int many_read(void *context, uint64_t frame, void *to)
{
    if (frame / PAGE_SIZE < FRAMES)
        return world_memory.read(context, frame, to);
    memset(to, 0, PAGE_SIZE);
    return 0;
}

START_TEST(many_processes)
{
    struct portion_guard_memory many = world_memory;

    many.translate = many_translate;
    many.read = many_read;
    world_setup();
    portion_guard_destroy(guard);
    ck_assert_int_eq(portion_guard_create(&guard, &table, &many), 0);
    ck_assert_int_eq(portion_guard_claim(guard, PAGE_SIZE), 1);
    for (unsigned int i = 0; i <= PORTION_GUARD_VIEWS; i++) {
        struct portion_guard_access access = world_access(ACCESS_FETCH, 0x1000U * (i + 1), SIGN);

        access.frame = PAGE_SIZE;
        vcpu = (struct portion_guard_vcpu){.view = 0};
        if (i < PORTION_GUARD_VIEWS)
            world_judge(&access, VERDICT_SWITCH, REASON_ENTRY);
        else
            world_judge(&access, VERDICT_KILL, REASON_TOO_MANY_PROGRAMS);
    }
    world_finish();
}
END_TEST

static unsigned int listed[PORTION_GUARD_VIEWS + 1];

static int list(void *context, const struct portion_guard_frame *frame)
{
    (void)context;
    listed[frame->view]++;
    ck_assert_uint_ge(frame->linear, SIGN);
    return 0;
}

START_TEST(listed_frames)
{
    world_setup();
    portion_guard_each_frame(guard, list, NULL);
    ck_assert_uint_eq(listed[0], 2);
    world_enter();
    portion_guard_each_frame(guard, list, NULL);
    ck_assert_uint_eq(listed[1], 3);
    world_finish();
}
END_TEST

/* A copy of the program has the portion's code in a larger one: by the rest of it a process is told
 * to have the one or the other. */
START_TEST(part_of_another)
{
    static const char *const sections[] = {".text", ".vault", ".secret"};
    static const char *const entries[] = {"check"};
    const struct portion_declaration larger = {.program = "copy",
                                               .name = "larger",
                                               .parts = {.section = sections, .sections = 3},
                                               .entry = entries,
                                               .entries = 1,
                                               .on_refusal = REFUSAL_KILL};
    struct error error;
    size_t size;
    const uint8_t *bytes = built_program(0, &size);
    struct portion_guard_access access;

    world_setup();
    ck_assert_int_eq(portion_table_add_program(&table, "copy", bytes, size, &error), 0);
    ck_assert_msg(portion_table_add(&table, &larger, &error) == 0, "%s", error.text);
    program_page(&table.program[1], MAIN & ~(PAGE_SIZE - 1), world_frame[7]);
    memcpy(world_frame[8], world_frame[1], PAGE_SIZE);
    memcpy(world_frame[9], world_frame[2], PAGE_SIZE);
    memset(world_frame[11], 0, PAGE_SIZE);
    world_map_process(0x2000, 8, 11);
    world_map(0x2000, MAIN & ~(PAGE_SIZE - 1), 7);
    for (uint64_t frame = 7; frame < 10; frame++)
        ck_assert_int_eq(portion_guard_claim(guard, frame * PAGE_SIZE), 1);
    ck_assert_int_eq(portion_guard_claim(guard, 1 * PAGE_SIZE), 1);
    access = world_access(ACCESS_FETCH, 0x2000, SIGN);
    access.stack = STACK;
    world_judge(&access, VERDICT_KILL, REASON_NOT_ENTRY);
    ck_assert_str_eq(outcome.portion->name, "larger");
    access = world_access(ACCESS_FETCH, 0x2000, CHECK);
    access.stack = STACK;
    world_judge(&access, VERDICT_SWITCH, REASON_ENTRY);
    ck_assert_str_eq(outcome.portion->name, "larger");
    vcpu = (struct portion_guard_vcpu){.view = 0};
    world_fetch(SIGN, VERDICT_SWITCH, REASON_ENTRY);
    ck_assert_str_eq(outcome.portion->name, "crypto");
    world_finish();
}
END_TEST

RUN_CASES("portions_memory", 60, ONCE(part_of_another), ONCE(malicious),
          ONCE(malicious_from_the_start), ONCE(altered), ONCE(altered_and_tolerated),
          ONCE(altered_with_other_code), ONCE(remapped), ONCE(remapped_and_still_seen),
          ONCE(remapped_and_tolerated), ONCE(remapped_code), ONCE(other_process), ONCE(reused_page),
          ONCE(forgotten), ONCE(many_processes), ONCE(listed_frames))
