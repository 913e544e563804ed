/* SPDX-License-Identifier: Apache-2.0 */
/* Calls whose arguments, or whose stack, lie in the agent's frames, by another address. */
#include "agent_layout.h"
#include "hook_world.h"
#include "runner.h"

#define ALIAS 0x20000000ULL /* of the agent's data */
#define OWN   0x30000000ULL /* the program's, and behind it another one */

/* The function takes one thing at RDI, whose length is in RSI. */
static void boot(enum mezz_guard_kind kind, uint16_t limit, uint32_t defences,
                 enum portion_refusal on_refusal)
{
    world_boot(defences, on_refusal);
    plan.function[0].arguments = 2;
    plan.function[0].argument[0] =
        (struct mezz_guard_argument){(uint8_t)kind, limit == 0 ? 1 : MEZZ_GUARD_NO_LENGTH, limit};
    plan.function[0].argument[1] =
        (struct mezz_guard_argument){MEZZ_GUARD_NUMBER, MEZZ_GUARD_NO_LENGTH, 0};
    world_map(LEFT, OWN, world_new_frame());
    world_map(LEFT, OWN + PAGE_SIZE, world_mapped(LEFT, AGENT_DATA)->frame);
    world_map(LEFT, ALIAS, world_mapped(LEFT, AGENT_DATA)->frame);
    world_map(LEFT, ALIAS + PAGE_SIZE, world_mapped(LEFT, AGENT_EXCHANGE)->frame);
    world_map(LEFT, ALIAS + 2 * PAGE_SIZE, world_mapped(LEFT, AGENT_CODE)->frame);
    world_map(LEFT, ALIAS + 3 * PAGE_SIZE, world_mapped(RIGHT, AGENT_DATA)->frame);
    world_map(LEFT, ALIAS + 4 * PAGE_SIZE, world_mapped(LEFT, 0x10006000)->frame);
}

static void call_with(uint64_t first, uint64_t second)
{
    world_at(LEFT, world_open_function()->entry);
    world_access.registers.gpr[HOOK_RDI] = first;
    world_access.registers.gpr[HOOK_RSI] = second;
    world_judge();
}

static const struct {
    enum mezz_guard_kind kind;
    uint16_t limit;
    uint64_t address;
    uint64_t length;
    bool refused;
} calls[] = {
    {MEZZ_GUARD_MEMORY, 0, ALIAS, 1, true},
    {MEZZ_GUARD_MEMORY, 0, ALIAS + PAGE_SIZE, 1, true},
    {MEZZ_GUARD_MEMORY, 0, ALIAS + 2 * PAGE_SIZE, 1, true},
    {MEZZ_GUARD_MEMORY, 0, OWN, PAGE_SIZE, false},
    {MEZZ_GUARD_MEMORY, 0, OWN, PAGE_SIZE + 1, true}, /* runs into it */
    {MEZZ_GUARD_MEMORY, 0, OWN + PAGE_SIZE - 1, 2, true},
    {MEZZ_GUARD_MEMORY, 0, OWN - PAGE_SIZE, 3 * PAGE_SIZE, true}, /* begins where nothing is */
    {MEZZ_GUARD_MEMORY, 0, ALIAS, 0, false},
    {MEZZ_GUARD_MEMORY, 0, OWN + 8, UINT64_MAX, true}, /* all that there is */
    {MEZZ_GUARD_MEMORY, 0, 0, UINT64_MAX, false},
    {MEZZ_GUARD_MEMORY, 0, UINT64_MAX, UINT64_MAX, false},
    {MEZZ_GUARD_MEMORY, 16, OWN + PAGE_SIZE - 16, 0, false},
    {MEZZ_GUARD_MEMORY, 16, OWN + PAGE_SIZE - 15, 0, true},
    {MEZZ_GUARD_MEMORY, 0, CODE, PAGE_SIZE, false},
    {MEZZ_GUARD_MEMORY, 0, 0x10001000, PAGE_SIZE, false}, /* the library: it can read that */
    {MEZZ_GUARD_MEMORY, 0, 0x10000000, 1, true},          /* where a hook is, by any address */
    {MEZZ_GUARD_MEMORY, 0, 0x10005fff, 2, true},
    {MEZZ_GUARD_MEMORY, 0, 0x10005fff, 1, false},
    {MEZZ_GUARD_MEMORY, 0, ALIAS + 4 * PAGE_SIZE, 1, true},
    {MEZZ_GUARD_BUFFER, 0, 0x10000800, 1, true},
    {MEZZ_GUARD_CSTRING, 64, 0x10006010, 0, true},
    {MEZZ_GUARD_VALUE, 1, 0x10006010, 0, true},
    {MEZZ_GUARD_NUMBER, 1, 0x10006010, 0, false},
    {MEZZ_GUARD_BUFFER, 0, ALIAS, 1, true},
    {MEZZ_GUARD_BUFFER, 0, OWN, 64, false},
    {MEZZ_GUARD_CSTRING, 64, ALIAS, 0, true},
    {MEZZ_GUARD_CSTRING, 64, OWN + PAGE_SIZE - 63, 0, true},
    {MEZZ_GUARD_CSTRING, 64, OWN + PAGE_SIZE - 64, 0, false},
    {MEZZ_GUARD_VALUE, 1, ALIAS + 0xfff, 0, true},
    {MEZZ_GUARD_VALUE, 1, OWN + 0xfff, 0, false},
    {MEZZ_GUARD_VALUE, 1, 3, 0, false},
    {MEZZ_GUARD_NUMBER, 1, ALIAS, 0, false},
    /* At its own addresses the agent tells by itself. */
    {MEZZ_GUARD_MEMORY, 0, AGENT_DATA, 1, false},
    {MEZZ_GUARD_MEMORY, 0, 0x101ff000, 0x200000, false},
};

START_TEST(argument)
{
    boot(calls[_i].kind, calls[_i].limit, HOOK_ALL_DEFENCES, REFUSAL_ERROR);
    call_with(calls[_i].address, calls[_i].length);
    if (!calls[_i].refused) {
        world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
        return;
    }
    world_must(HOOK_GO_ON, HOOK_REASON_BAD_ARGUMENT, false);
    ck_assert_ptr_eq(outcome.function, world_open_function());
    ck_assert_int_eq((int64_t)outcome.registers.gpr[HOOK_RAX], -1);
    ck_assert_uint_eq(outcome.registers.rip, RETURN);
    call_with(OWN, 1); /* the next one is as good as any */
    world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
}
END_TEST

/* What the function does not take it does not get, and the caller has it again afterwards. */
START_TEST(not_declared)
{
    static const unsigned int registers[] = {HOOK_RDI, HOOK_RSI, HOOK_RDX, 2, 8, 9};
    const size_t declared = (size_t)_i;

    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    plan.function[0].arguments = declared;
    for (size_t i = 0; i < declared; i++)
        plan.function[0].argument[i] =
            (struct mezz_guard_argument){MEZZ_GUARD_NUMBER, MEZZ_GUARD_NO_LENGTH, 0};
    world_at(LEFT, world_open_function()->entry);
    for (size_t i = 0; i < ELEMENTS(registers); i++)
        world_access.registers.gpr[registers[i]] = AGENT_DATA + i;
    world_judge();
    world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    for (size_t i = 0; i < ELEMENTS(registers); i++)
        ck_assert_uint_eq(outcome.registers.gpr[registers[i]], i < declared ? AGENT_DATA + i : 0);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RBX], 0x1001);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RSP], STACK + 0x800);
    world_at_door(LEFT, 0, MEZZ_GUARD_DENIED);
    world_judge();
    world_must(HOOK_GO_ON, HOOK_REASON_RETURN, false);
    for (size_t i = 0; i < ELEMENTS(registers); i++)
        ck_assert_uint_eq(outcome.registers.gpr[registers[i]], AGENT_DATA + i);
}
END_TEST

/* Another program's agent is, too, once that has one; before that the page is a page. */
START_TEST(data_of_another_agent)
{
    boot(MEZZ_GUARD_MEMORY, 0, HOOK_ALL_DEFENCES, REFUSAL_KILL);
    call_with(ALIAS + 3 * PAGE_SIZE, 8);
    world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    world_at_door(LEFT, 0, MEZZ_GUARD_ALLOWED);
    world_judge();
    world_at(RIGHT, world_open_function()->entry);
    world_judge();
    world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    vcpu = (struct hook_vcpu){.view = 0};
    call_with(ALIAS + 3 * PAGE_SIZE, 8);
    world_must(HOOK_KILL, HOOK_REASON_BAD_ARGUMENT, false);
}
END_TEST

/* Where the agent is open to all there is nothing to hide. */
START_TEST(an_open_agent)
{
    boot(MEZZ_GUARD_MEMORY, 0, HOOK_ALL_DEFENCES & ~HOOK_HIDDEN, REFUSAL_KILL);
    call_with(ALIAS, 8);
    world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
}
END_TEST

/* A page that the kernel has changed while the call was out: by an interrupt, by a system call. */
START_TEST(mapped_while_it_waits)
{
    boot(MEZZ_GUARD_MEMORY, 0, HOOK_ALL_DEFENCES, REFUSAL_KILL);
    call_with(OWN, 8);
    world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    world_interrupted(LEFT, _i == 0 ? 32 : 128, AGENT_CODE + 0x10);
    world_mapped(LEFT, OWN)->frame = world_mapped(LEFT, AGENT_DATA)->frame;
    world_call(LEFT, plan.door);
    world_must(HOOK_KILL, HOOK_REASON_BAD_ARGUMENT, false);
    ck_assert_ptr_eq(outcome.function, world_open_function());
    ck_assert_uint_eq(outcome.registers.rip, RETURN);
    world_call(LEFT, plan.door);
    world_must(HOOK_KILL, HOOK_REASON_NO_CALL, false);
}
END_TEST

/* The root reads no return address there: neither of a call, nor of one that it refuses, nor when a
 * call is over. */
START_TEST(stack)
{
    boot(MEZZ_GUARD_MEMORY, 0, HOOK_ALL_DEFENCES, REFUSAL_ERROR);
    world_put_word(LEFT, ALIAS + 0x10, 0x1234567);
    world_call(LEFT, world_open_function()->entry);
    world_at_door(LEFT, 0, MEZZ_GUARD_ALLOWED);
    world_judge();
    world_put_word(LEFT, ALIAS + 0x10, 0x1234567);
    world_at(LEFT, world_open_function()->entry + (_i == 0 ? 0 : 0x10));
    world_access.registers.gpr[HOOK_RSP] = ALIAS + 0x10;
    world_judge();
    world_must(HOOK_KILL, _i == 0 ? HOOK_REASON_NO_STACK : HOOK_REASON_NOT_ENTRY, false);
    ck_assert(!outcome.load);
}
END_TEST

START_TEST(stack_that_changes)
{
    boot(MEZZ_GUARD_MEMORY, 0, HOOK_ALL_DEFENCES, REFUSAL_KILL);
    call_with(OWN, 8);
    world_mapped(LEFT, STACK)->frame = world_mapped(LEFT, AGENT_DATA)->frame;
    world_put_word(LEFT, STACK + 0x800, RETURN);
    world_at_door(LEFT, 0, MEZZ_GUARD_ALLOWED);
    world_judge();
    world_must(HOOK_KILL, HOOK_REASON_RETURN_CHANGED, false);
}
END_TEST

/* Page tables that are an agent's: of the argument, of the agent itself, at the first call and
 * later; and what the processor goes by at an event. */
static void spoil(unsigned int what)
{
    world_sound = what != 0;
    if (what != 0)
        world_mapped(LEFT, what == 1 ? OWN : AGENT_DATA)->barred = true;
}

START_TEST(tables_of_an_agent)
{
    const unsigned int what = (unsigned int)_i / 2;

    boot(MEZZ_GUARD_MEMORY, 0, HOOK_ALL_DEFENCES, REFUSAL_ERROR);
    if (_i % 2 != 0) {
        call_with(OWN, 8);
        world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
        world_at_door(LEFT, 0, MEZZ_GUARD_ALLOWED);
        world_judge();
    }
    spoil(what);
    call_with(OWN, 8);
    world_must(HOOK_GO_ON, HOOK_REASON_BAD_TABLES, false);
    ck_assert_int_eq((int64_t)outcome.registers.gpr[HOOK_RAX], -1);
    ck_assert_ptr_eq(outcome.function, world_open_function());
}
END_TEST

START_TEST(tables_that_change)
{
    boot(MEZZ_GUARD_MEMORY, 0, HOOK_ALL_DEFENCES, REFUSAL_KILL);
    call_with(OWN, 8);
    world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    world_interrupted(LEFT, 32, AGENT_CODE + 0x10);
    spoil((unsigned int)_i);
    world_call(LEFT, plan.door);
    world_must(HOOK_KILL, HOOK_REASON_BAD_TABLES, false);
    ck_assert_ptr_eq(outcome.function, world_open_function());
    world_call(LEFT, plan.door);
    world_must(HOOK_KILL, HOOK_REASON_NO_CALL, false);
}
END_TEST

START_TEST(tables_unchecked)
{
    boot(MEZZ_GUARD_MEMORY, 0, HOOK_ALL_DEFENCES & ~HOOK_TABLE_CHECK, REFUSAL_KILL);
    spoil(0);
    call_with(OWN, 8);
    world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
}
END_TEST

/* Of code only what the space executed when it was bound does not run. */
START_TEST(code_that_runs)
{
    boot(MEZZ_GUARD_MEMORY, 0, HOOK_ALL_DEFENCES & ~(_i == 0 ? 0U : HOOK_KERNEL_NX), REFUSAL_KILL);
    call_with(OWN, 8);
    ck_assert(!hook_runs(hooks, vcpu.view, world_mapped(LEFT, CODE)->frame));
    ck_assert(hook_runs(hooks, vcpu.view, KERNEL) == (_i != 0));
    ck_assert(hook_runs(hooks, vcpu.view, world_mapped(LEFT, AGENT_CODE)->frame));
    ck_assert(hook_runs(hooks, vcpu.view, world_new_frame()));
}
END_TEST

RUN_CASES("hook_arguments", 60, EACH(argument, ELEMENTS(calls)), EACH(not_declared, 7),
          ONCE(data_of_another_agent), ONCE(an_open_agent), EACH(mapped_while_it_waits, 2),
          EACH(stack, 2), ONCE(stack_that_changes), EACH(tables_of_an_agent, 6),
          EACH(tables_that_change, 3), ONCE(tables_unchecked), EACH(code_that_runs, 2))
