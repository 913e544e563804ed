/* SPDX-License-Identifier: Apache-2.0 */
/* The guard: ways into a portion, out of it and back. Each test is a story, most of them an
 * attacker's. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "portions_world.h"
#include "runner.h"
#include "unit_portions_builder.h"

START_TEST(call_and_return)
{
    struct portion_guard_access access;

    world_setup();
    world_enter();
    ck_assert_uint_eq(outcome.from, 0);
    ck_assert_uint_eq(outcome.decision.to, 1);
    access = world_access(ACCESS_FETCH, 0x1000, MAIN);
    access.rsp = STACK + 8;
    world_judge(&access, VERDICT_SWITCH, REASON_RETURN);
    ck_assert_uint_eq(vcpu.view, 0);
    /* Nobody has to be stopped to come in a second time. */
    access = world_access(ACCESS_FETCH, 0x1000, CHECK);
    ck_assert(!portion_guard_moves_pages(guard, &vcpu, &access));
    /* A return is not a point to come back to. */
    world_fetch(MIDDLE, VERDICT_KILL, REASON_NOT_ENTRY);
    world_fetch(CHECK, VERDICT_SWITCH, REASON_ENTRY);
    world_finish();
}
END_TEST

static const struct {
    enum portion_access access;
    unsigned int cpl;
    uint64_t cr3, linear, frame;
    enum decision_reason reason;
} outsiders[] = {
    {ACCESS_FETCH, 3, 0x1000, MIDDLE, 1, REASON_NOT_ENTRY}, /* 18 */
    {ACCESS_FETCH, 3, 0x1000, SIGN + 1, 1, REASON_NOT_ENTRY},
    {ACCESS_FETCH, 3, 0x1000, SIGN + PAGE_SIZE, 2, REASON_NOT_ENTRY},
    {ACCESS_FETCH, 3, 0x1000, KEY, 3, REASON_DATA_FETCH},
    {ACCESS_READ, 3, 0x1000, KEY + 8, 3, REASON_READ_OUTSIDE},
    {ACCESS_WRITE, 3, 0x1000, KEY + 8, 3, REASON_WRITE_OUTSIDE},
    {ACCESS_READ, 3, 0x1000, SIGN, 1, REASON_READ_OUTSIDE},
    {ACCESS_WRITE, 3, 0x1000, SIGN, 1, REASON_WRITE_OUTSIDE},
    {ACCESS_READ, 3, 0x1000, 0x500000, 3, REASON_ALIAS}, /* 10 */
    {ACCESS_WRITE, 3, 0x2000, 0x500000, 3, REASON_ALIAS},
    {ACCESS_FETCH, 3, 0x1000, 0x500000, 1, REASON_ALIAS},
    {ACCESS_FETCH, 3, 0x2000, 0x500040, 1, REASON_ALIAS},
    {ACCESS_READ, 3, 0x2000, KEY, 3, REASON_OTHER_PROGRAM},
    {ACCESS_WRITE, 3, 0x2000, KEY, 3, REASON_OTHER_PROGRAM},
    {ACCESS_READ, 0, 0x1000, 0xffffff8000003000, 3, REASON_KERNEL_READ},
    {ACCESS_WRITE, 0, 0x2000, 0xffffff8000003000, 3, REASON_KERNEL_WRITE},
    {ACCESS_FETCH, 0, 0x1000, 0xffffff8000001000, 1, REASON_KERNEL_FETCH},
    {ACCESS_FETCH, 0, 0x1000, SIGN, 1, REASON_KERNEL_FETCH},
};

/* From outside, with the portion alive and its process preempted. */
START_TEST(outsider)
{
    struct portion_guard_access access;

    world_setup();
    world_enter();
    world_interrupt(MIDDLE + 7, true, REASON_INTERRUPT);
    access = world_access(outsiders[_i].access, outsiders[_i].cr3, outsiders[_i].linear);
    access.cpl = outsiders[_i].cpl;
    access.frame = outsiders[_i].frame * PAGE_SIZE;
    world_judge(&access, outsiders[_i].cpl == 0 ? VERDICT_ERROR : VERDICT_KILL,
                outsiders[_i].reason);
    ck_assert_uint_eq(vcpu.view, 0);
    ck_assert_uint_eq(world_frame[3][0], 0xaa);
    /* What was refused has cost the owner nothing. */
    world_go_back(MIDDLE + 7, STACK - 64, VERDICT_SWITCH, REASON_RESUME_POINT);
    world_finish();
}
END_TEST

START_TEST(interrupted)
{
    world_setup();
    world_enter();
    world_interrupt(MIDDLE, true, REASON_INTERRUPT);
    world_go_back(MIDDLE, STACK, VERDICT_KILL, REASON_RESUME_MOVED);
    world_go_back(MIDDLE + 1, STACK - 64, VERDICT_KILL, REASON_NOT_ENTRY);
    world_go_back(MIDDLE, STACK - 64, VERDICT_SWITCH, REASON_RESUME_POINT);
    ck_assert(outcome.restore);
    ck_assert(!outcome.result);
    ck_assert_uint_eq(outcome.registers.gpr[2], 3);
    /* Once only. */
    world_interrupt(MIDDLE + 4, true, REASON_INTERRUPT);
    world_go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_NOT_ENTRY);
    world_go_back(MIDDLE + 4, STACK - 64, VERDICT_SWITCH, REASON_RESUME_POINT);
    world_finish();
}
END_TEST

/* A frame that another vCPU may have written, or that leads elsewhere, is no way back. */
START_TEST(forged_frame)
{
    world_setup();
    world_enter();
    world_interrupt(MIDDLE, false, REASON_INTERRUPT_FRAME);
    world_go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_NOT_ENTRY);
    world_enter();
    world_interrupt(MAIN, true, REASON_LEFT); /* it jumped, and then came the kernel */
    world_go_back(MAIN, STACK - 64, VERDICT_RESUME, REASON_NONE);
    world_finish();
}
END_TEST

/* The kernel right after an instruction that led out of the portion: a single step over it. */
static void step_out(uint64_t rip, uint64_t rsp, uint64_t stack, enum decision_reason reason)
{
    static const struct portion_guard_registers registers = {.gpr = {5}};
    struct portion_guard_access access = world_access(ACCESS_FETCH, 0x1000, HANDLER);

    access.cpl = 0;
    access.rsp = 0xffffffff80200000;
    access.keep = &registers;
    access.frame_of_interrupt.known = access.frame_of_interrupt.trusted = true;
    access.frame_of_interrupt.cpl = 3;
    access.frame_of_interrupt.rip = rip;
    access.frame_of_interrupt.rsp = rsp;
    access.frame_of_interrupt.stack_known = access.frame_of_interrupt.after_call = true;
    access.frame_of_interrupt.stack = stack;
    world_judge(&access, VERDICT_SWITCH, reason);
    ck_assert_uint_eq(vcpu.view, 0);
}

START_TEST(stepped_out)
{
    world_setup();
    world_enter();
    step_out(MAIN, STACK + 8, 0, REASON_RETURN);
    world_go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_NOT_ENTRY);
    world_enter();
    step_out(MAIN + 64, STACK - 32, MIDDLE, REASON_CALL_OUT);
    world_go_back(MIDDLE, STACK - 24, VERDICT_SWITCH, REASON_RESUME_POINT);
    ck_assert(!outcome.restore);
    step_out(MAIN + 64, STACK, MAIN, REASON_LEFT);
    world_finish();
}
END_TEST

/* What the caller has in its flags is kept for it. */
START_TEST(caller_flags)
{
    struct portion_guard_access access;

    world_setup();
    access = world_access(ACCESS_FETCH, 0x1000, SIGN);
    access.rflags = 0x44502;
    world_judge(&access, VERDICT_SWITCH, REASON_ENTRY);
    access = world_access(ACCESS_FETCH, 0x1000, MAIN);
    access.rsp = STACK + 8;
    world_judge(&access, VERDICT_SWITCH, REASON_RETURN);
    ck_assert_uint_eq(outcome.flags, 0x44100);
    world_fetch(SIGN, VERDICT_SWITCH, REASON_ENTRY);
    world_judge(&access, VERDICT_SWITCH, REASON_RETURN);
    ck_assert_uint_eq(outcome.flags, 0);
    world_finish();
}
END_TEST

/* A host that delivers a system call as a fault: the kernel goes on behind it. */
START_TEST(system_call)
{
    static const struct portion_guard_registers registers = {.gpr = {5}};
    struct portion_guard_access access;

    world_setup();
    world_enter();
    access = world_access(ACCESS_FETCH, 0x1000, HANDLER);
    access.cpl = 0;
    access.frame_of_interrupt.known = access.frame_of_interrupt.trusted = true;
    access.frame_of_interrupt.cpl = 3;
    access.frame_of_interrupt.rip = MIDDLE;
    access.frame_of_interrupt.next_rip = MIDDLE + 2;
    access.frame_of_interrupt.rsp = STACK - 8;
    access.keep = &registers;
    access.system_call = true;
    world_judge(&access, VERDICT_SWITCH, REASON_INTERRUPT);
    world_go_back(MIDDLE + 1, STACK - 8, VERDICT_KILL, REASON_NOT_ENTRY);
    world_go_back(MIDDLE + 2, STACK - 8, VERDICT_SWITCH, REASON_RESUME_POINT);
    ck_assert(outcome.restore && outcome.result);
    ck_assert_uint_eq(outcome.registers.gpr[0], 5);
    /* Without registers that were kept there are none to load. */
    access.keep = NULL;
    world_judge(&access, VERDICT_SWITCH, REASON_INTERRUPT);
    world_go_back(MIDDLE, STACK - 8, VERDICT_SWITCH, REASON_RESUME_POINT);
    ck_assert(!outcome.restore && !outcome.result);
    world_finish();
}
END_TEST

/* The portion calls a function of the program, which comes back behind the call. */
static void call_out(uint64_t stack, uint64_t rsp, bool after_call, enum decision_reason reason)
{
    struct portion_guard_access access = world_access(ACCESS_FETCH, 0x1000, MAIN + 64);

    access.rsp = rsp;
    access.stack = stack;
    access.after_call = after_call;
    world_judge(&access, VERDICT_SWITCH, reason);
    ck_assert_uint_eq(vcpu.view, 0);
}

START_TEST(calls_out)
{
    world_setup();
    world_enter();
    call_out(MIDDLE, STACK - 32, true, REASON_CALL_OUT);
    world_go_back(MIDDLE, STACK - 32, VERDICT_KILL, REASON_RESUME_MOVED);
    world_go_back(MIDDLE, STACK - 24, VERDICT_SWITCH, REASON_RESUME_POINT);
    /* A return with an address of the portion laid out above is no call. */
    call_out(MIDDLE, STACK + 8, true, REASON_LEFT);
    world_go_back(MIDDLE, STACK + 16, VERDICT_KILL, REASON_NOT_ENTRY);
    world_enter();
    call_out(MIDDLE, STACK - 32, false, REASON_LEFT); /* a jump */
    world_go_back(MIDDLE, STACK - 24, VERDICT_KILL, REASON_NOT_ENTRY);
    world_enter();
    call_out(KEY, STACK - 32, true, REASON_LEFT); /* not code */
    world_finish();
}
END_TEST

/* What the stack is at the door: where it is, and what is the first word there. */
static const struct {
    uint64_t rsp, stack;
    bool known;
    enum decision_verdict verdict;
    enum decision_reason reason;
} doors[] = {
    {STACK, MAIN, true, VERDICT_SWITCH, REASON_ENTRY},
    {KEY + 2 * PAGE_SIZE, MAIN, true, VERDICT_SWITCH, REASON_ENTRY},
    {STACK, MIDDLE, true, VERDICT_KILL, REASON_RETURN_ADDRESS},
    {STACK, SIGN, true, VERDICT_KILL, REASON_RETURN_ADDRESS},
    {STACK, KEY + 8, true, VERDICT_KILL, REASON_RETURN_ADDRESS},
    {STACK, MAIN, false, VERDICT_KILL, REASON_RETURN_ADDRESS},
    {STACK + 4, MAIN, true, VERDICT_KILL, REASON_RETURN_ADDRESS},
    {KEY + 32, MAIN, true, VERDICT_KILL, REASON_STACK_INSIDE},
    {KEY - 4, MAIN, true, VERDICT_KILL, REASON_STACK_INSIDE},
    {KEY + PAGE_SIZE, MAIN, true, VERDICT_KILL, REASON_STACK_INSIDE},
    {KEY + 2 * PAGE_SIZE - 8, MAIN, true, VERDICT_KILL, REASON_STACK_INSIDE},
    {SIGN + 8, MAIN, true, VERDICT_KILL, REASON_STACK_INSIDE},
};

START_TEST(stack_at_the_door)
{
    struct portion_guard_access access;

    world_setup();
    access = world_access(ACCESS_FETCH, 0x1000, SIGN);
    access.rsp = doors[_i].rsp;
    access.stack = doors[_i].stack;
    access.stack_known = doors[_i].known;
    world_judge(&access, doors[_i].verdict, doors[_i].reason);
    world_finish();
}
END_TEST

#define STACK_FRAME 10U

static void write_return(uint64_t address)
{
    memcpy(world_frame[STACK_FRAME], &address, sizeof(address));
}

/* Whoever has the portion wait, kernel or callee, changes where it will return to. */
START_TEST(return_address_changed)
{
    world_setup();
    world_map(0x1000, STACK, STACK_FRAME);
    write_return(MAIN);
    world_enter();
    world_interrupt(MIDDLE, true, REASON_INTERRUPT);
    write_return(MIDDLE);
    world_go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_RETURN_ADDRESS);
    write_return(MAIN);
    world_go_back(MIDDLE, STACK - 64, VERDICT_SWITCH, REASON_RESUME_POINT);
    ck_assert(outcome.restore);
    /* No page: the portion's return will be a fault first. One that cannot be read: it will not. */
    world_interrupt(MIDDLE, true, REASON_INTERRUPT);
    world_map(0x1000, STACK, FRAMES);
    world_go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_RETURN_ADDRESS);
    world_map(0x1000, STACK, 0);
    world_go_back(MIDDLE, STACK - 64, VERDICT_SWITCH, REASON_RESUME_POINT);
    world_map(0x1000, STACK, STACK_FRAME);
    /* Only logged: it is come back to all the same, with its registers. */
    world_tolerate(REASON_RETURN_ADDRESS);
    world_interrupt(MIDDLE, true, REASON_INTERRUPT);
    write_return(MIDDLE);
    world_go_back(MIDDLE, STACK - 64, VERDICT_SWITCH, REASON_RETURN_ADDRESS);
    ck_assert(outcome.decision.refused && outcome.restore);
    world_map(0x1000, STACK, 0);
    world_finish();
}
END_TEST

/* 11: while one vCPU is inside, another one is not. */
START_TEST(sibling)
{
    struct portion_guard_vcpu first;

    world_setup();
    world_enter();
    first = vcpu;
    vcpu = (struct portion_guard_vcpu){.view = 0};
    world_fetch(MIDDLE, VERDICT_KILL, REASON_NOT_ENTRY);
    world_enter(); /* by the door, at the same time */
    ck_assert_uint_ne(vcpu.call, first.call);
    world_finish();
}
END_TEST

START_TEST(many_calls)
{
    world_setup();
    for (unsigned int i = 0; i < PORTION_GUARD_CALLS; i++) {
        world_enter();
        world_interrupt(MIDDLE + i, true, REASON_INTERRUPT);
    }
    ck_assert(!outcome.forgot);
    world_enter();
    ck_assert(outcome.forgot);
    world_interrupt(MIDDLE + PORTION_GUARD_CALLS, true, REASON_INTERRUPT);
    world_go_back(MIDDLE, STACK - 64, VERDICT_KILL, REASON_NOT_ENTRY);
    world_go_back(MIDDLE + 1, STACK - 64, VERDICT_SWITCH, REASON_RESUME_POINT);
    /* All inside at the same time: nothing to forget. */
    for (unsigned int i = 1; i < PORTION_GUARD_CALLS; i++) {
        vcpu = (struct portion_guard_vcpu){.view = 0};
        world_enter();
    }
    vcpu = (struct portion_guard_vcpu){.view = 0};
    world_fetch(SIGN, VERDICT_KILL, REASON_TOO_MANY_CALLS);
    world_finish();
}
END_TEST

/* For watching only: what would be refused happens, and is said. */
START_TEST(log_only)
{
    struct portion_guard_access access;
    uint64_t cr3;

    world_setup_rules(NULL, REFUSAL_LOG);
    world_fetch(MIDDLE, VERDICT_SWITCH, REASON_NOT_ENTRY);
    ck_assert(outcome.decision.refused);
    ck_assert_uint_eq(vcpu.view, 1);
    ck_assert_ptr_eq(portion_guard_view_portion(guard, 1, &cr3), &table.portion[0]);
    ck_assert_uint_eq(cr3, 0x1000);
    ck_assert_ptr_null(portion_guard_view_portion(guard, 2, &cr3));
    world_interrupt(MIDDLE, true, REASON_INTERRUPT);
    access = world_access(ACCESS_READ, 0x1000, KEY);
    world_judge(&access, VERDICT_SERVE, REASON_READ_OUTSIDE);
    world_finish();
}
END_TEST

START_TEST(described)
{
    struct portion_guard_access access;
    struct portion_guard_event event;

    world_setup();
    access = world_access(ACCESS_FETCH, 0x1000, MIDDLE);
    world_judge(&access, VERDICT_KILL, REASON_NOT_ENTRY);
    portion_guard_describe(guard, &access, &outcome, &event);
    ck_assert_str_eq(event.event.symbol, "sign");
    ck_assert_str_eq(event.event.reason, "not-an-entry-point");
    ck_assert_str_eq(event.event.verdict, "kill");
    ck_assert_uint_eq(event.event.from, 0);
    ck_assert_uint_eq(event.event.to, 0);
    ck_assert_str_eq(event.more[0].text, "vault");
    ck_assert_str_eq(event.more[1].text, "crypto");
    ck_assert_str_eq(event.more[3].text, "0x402033");
    ck_assert_uint_eq(event.event.more_count, 7);
    ck_assert_str_eq(event.more[6].name, "by");
    ck_assert_str_eq(event.more[6].text, "stack");
    access.asked = true;
    access.allowed = 1ULL << REASON_NOT_ENTRY;
    world_judge(&access, VERDICT_SWITCH, REASON_NOT_ENTRY);
    portion_guard_describe(guard, &access, &outcome, &event);
    ck_assert_str_eq(event.more[6].text, "l1");
    world_interrupt(MIDDLE, true, REASON_INTERRUPT);
    portion_guard_describe(guard, &access, &outcome, &event);
    ck_assert_uint_eq(event.event.more_count, 6); /* nothing was decided */
    /* Of a kernel's the physical address is all that is known. */
    access = world_access(ACCESS_READ, 0x1000, SIGN);
    access.cpl = 0;
    access.linear_known = false;
    access.linear = 0;
    access.physical = PAGE_SIZE + 8;
    world_judge(&access, VERDICT_ERROR, REASON_KERNEL_READ);
    portion_guard_describe(guard, &access, &outcome, &event);
    ck_assert_str_eq(event.more[3].text, "");
    ck_assert_str_eq(event.more[5].name, "physical");
    ck_assert_str_eq(event.more[5].text, "0x1008");
    world_finish();
}
END_TEST

RUN_CASES("portions_guard", 60, ONCE(call_and_return), EACH(outsider, ELEMENTS(outsiders)),
          ONCE(interrupted), ONCE(forged_frame), ONCE(stepped_out), ONCE(caller_flags),
          ONCE(system_call), ONCE(calls_out), EACH(stack_at_the_door, ELEMENTS(doors)),
          ONCE(return_address_changed), ONCE(sibling), ONCE(many_calls), ONCE(log_only),
          ONCE(described))
