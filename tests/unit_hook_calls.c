/* SPDX-License-Identifier: Apache-2.0 */
/* Guarded calls that are right, judged one access at a time, and what the views show for them. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent_layout.h"
#include "hook_world.h"
#include "runner.h"

START_TEST(a_call)
{
    size_t of;

    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    ck_assert_uint_eq(hook_claimed(hooks, &of), of);
    world_call(LEFT, world_open_function()->entry);
    world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    ck_assert(outcome.load);
    ck_assert_uint_eq(outcome.registers.rip, world_open_function()->entry + HOOK_GATE_BYTES);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RDI], 0); /* is not declared */
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RBX], 0x1001);
    ck_assert_ptr_eq(outcome.function, world_open_function());
    world_at_door(LEFT, 42, MEZZ_GUARD_ALLOWED);
    world_judge();
    world_must(HOOK_GO_ON, HOOK_REASON_RETURN, false);
    ck_assert_uint_eq(outcome.registers.rip, RETURN);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RSP], STACK + 0x808);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RAX], 42);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RDI], 0x1005); /* nothing of the agent's */
    ck_assert_uint_eq(outcome.verdict, MEZZ_GUARD_ALLOWED);
}
END_TEST

START_TEST(a_call_by_a_gate)
{
    world_boot(HOOK_ALL_DEFENCES & ~HOOK_API_NX, REFUSAL_KILL);
    world_at(LEFT, world_open_function()->entry + HOOK_GATE_BYTES);
    world_access.kind = HOOK_GATE;
    world_access.index = HOOK_INDEX;
    world_judge();
    world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    ck_assert_uint_eq(outcome.registers.rip, world_open_function()->entry + HOOK_GATE_BYTES);
}
END_TEST

START_TEST(each_space_has_its_view)
{
    uint32_t left;

    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    left = vcpu.view;
    vcpu = (struct hook_vcpu){.view = 0};
    world_call(RIGHT, plan.function[1].entry);
    world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    ck_assert_uint_ne(vcpu.view, left);
}
END_TEST

/* Out for a system call, back for its result, with the other registers as they were. */
START_TEST(a_system_call)
{
    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    world_interrupted(LEFT, 128, world_open_function()->entry + 0x3a);
    world_must(HOOK_GO_ON, HOOK_REASON_SYSTEM_CALL, false);
    ck_assert(outcome.rewrite);
    ck_assert_uint_eq(outcome.frame_rip, plan.door);
    ck_assert_uint_eq(outcome.frame_rsp, STACK + 0x800);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RDI], 0x1005); /* an argument */
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RBX], 0);      /* is none */
    world_call(LEFT, plan.door);
    world_must(HOOK_GO_ON, HOOK_REASON_BACK, true);
    ck_assert_uint_eq(outcome.registers.rip, world_open_function()->entry + 0x3a);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RAX], 0x1000); /* the kernel's */
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RBX], 0x1001);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RSP], plan.stack_end - 128);
    ck_assert_uint_eq(outcome.registers.rflags, 0x246);
}
END_TEST

START_TEST(a_system_call_that_arrives_as_an_invalid_opcode)
{
    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    world_interrupted(LEFT, 128, 0);
    world_call(LEFT, plan.door);
    world_access.interrupt.call_instruction = true;
    world_at(LEFT, 0xffffffff80110000);
    world_access.cpl = 0;
    world_access.interrupt.known = true;
    world_access.interrupt.vector = 6;
    world_access.interrupt.call_instruction = true;
    world_access.interrupt.rip = world_open_function()->entry + 0x38;
    world_judge();
    world_must(HOOK_GO_ON, HOOK_REASON_SYSTEM_CALL, false);
    ck_assert(outcome.system_call_vector);
    world_call(LEFT, plan.door);
    ck_assert_uint_eq(outcome.registers.rip, world_open_function()->entry + 0x3a);
}
END_TEST

/* The kernel sees nothing of an interrupted agent and cannot alter it. */
START_TEST(an_interrupt)
{
    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    world_interrupted(LEFT, 32, AGENT_CODE + 0x10);
    world_must(HOOK_GO_ON, HOOK_REASON_INTERRUPT, false);
    for (unsigned int i = 0; i < 16; i++)
        ck_assert_uint_eq(outcome.registers.gpr[i], i == HOOK_RSP ? STACK + 0x800 : 0);
    world_at(LEFT, plan.door);
    world_access.registers.gpr[HOOK_RAX] = 0xbad;
    world_judge();
    world_must(HOOK_GO_ON, HOOK_REASON_BACK, true);
    ck_assert_uint_eq(outcome.registers.rip, AGENT_CODE + 0x10);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RAX], 0x1000);
    /* Once. */
    world_at_door(LEFT, 1, MEZZ_GUARD_ALLOWED);
    world_judge();
    world_must(HOOK_GO_ON, HOOK_REASON_RETURN, false);
    world_call(LEFT, plan.door);
    world_must(HOOK_KILL, HOOK_REASON_NO_CALL, false);
}
END_TEST

START_TEST(memory_that_is_not_there)
{
    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    world_interrupted(LEFT, 14, plan.copy);
    world_must(HOOK_GO_ON, HOOK_REASON_UNREADABLE, true);
    ck_assert(outcome.to_user);
    ck_assert_uint_eq(outcome.registers.rip, plan.copy_fault);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RSP], plan.stack_end - 128);
    /* Anywhere else it is the agent's mistake, and the program's end. */
    world_interrupted(LEFT, 14, plan.copy + 1);
    world_must(HOOK_GO_ON, HOOK_REASON_AGENT_FAULT, false);
    ck_assert_uint_eq(outcome.frame_rip, RETURN);
    world_call(LEFT, plan.door);
    world_must(HOOK_KILL, HOOK_REASON_NO_CALL, false);
}
END_TEST

/* An address that no memory can have is a protection fault, and the same denial. */
START_TEST(an_address_that_cannot_be)
{
    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    world_interrupted(LEFT, 13, plan.copy);
    world_must(HOOK_GO_ON, HOOK_REASON_UNREADABLE, true);
    ck_assert_uint_eq(outcome.registers.rip, plan.copy_fault);
    world_interrupted(LEFT, 13, plan.copy + 1);
    world_must(HOOK_GO_ON, HOOK_REASON_AGENT_FAULT, false);
}
END_TEST

/* A return address across two pages, wherever these lie. */
START_TEST(an_odd_stack)
{
    const uint64_t at = STACK + PAGE_SIZE - 3;
    uint64_t word = RETURN;
    uint64_t above;

    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    above = world_new_frame();
    world_map(LEFT, STACK + PAGE_SIZE, above);
    memcpy(world_memory[world_mapped(LEFT, STACK)->frame / PAGE_SIZE] + PAGE_SIZE - 3, &word, 3);
    memcpy(world_memory[above / PAGE_SIZE], (uint8_t *)&word + 3, 5);
    world_at(LEFT, world_open_function()->entry);
    world_access.registers.gpr[HOOK_RSP] = at;
    world_judge();
    world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    world_at_door(LEFT, 42, MEZZ_GUARD_ALLOWED);
    world_judge();
    world_must(HOOK_GO_ON, HOOK_REASON_RETURN, false);
    ck_assert_uint_eq(outcome.registers.rip, RETURN);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RSP], at + 8);
}
END_TEST

/* --- what views show --- */

static const struct hook_patch *found_patch(uint64_t frame);
static struct hook_patch patches[1024];
static size_t patch_count;

static int take_patch(void *context, const struct hook_patch *patch)
{
    (void)context;
    patches[patch_count++] = *patch;
    return 0;
}

static const struct hook_patch *found_patch(uint64_t frame)
{
    for (size_t i = 0; i < patch_count; i++)
        if (patches[i].frame == frame)
            return &patches[i];
    return NULL;
}

static void show(uint32_t view)
{
    patch_count = 0;
    ck_assert_int_eq(hook_each_patch(hooks, view, take_patch, NULL), 0);
}

static void must_show(uint64_t cr3, uint64_t linear, uint32_t rights)
{
    const struct hook_patch *patch = found_patch(world_mapped(cr3, linear)->frame);

    ck_assert_msg(patch != NULL && patch->rights == rights, "%#lx", (unsigned long)linear);
}

START_TEST(views)
{
    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    show(0);
    must_show(LEFT, 0x10000000, R);
    must_show(LEFT, AGENT_CODE, 0);
    must_show(LEFT, AGENT_DOOR, 0);
    must_show(LEFT, AGENT_DATA, 0);
    must_show(LEFT, AGENT_EXCHANGE, R | X);
    ck_assert_ptr_null(found_patch(world_mapped(LEFT, 0x10001000)->frame)); /* not guarded */
    ck_assert_ptr_null(found_patch(world_mapped(LEFT, CODE)->frame));
    show(vcpu.view);
    must_show(LEFT, 0x10000000, R | X);
    must_show(LEFT, 0x10001000, R | X);
    must_show(LEFT, AGENT_CODE, R | X);
    must_show(LEFT, AGENT_DOOR, 0);
    must_show(LEFT, CODE, R);
    ck_assert_uint_eq(found_patch(KERNEL)->rights, R);
    ck_assert_ptr_null(found_patch(world_mapped(LEFT, AGENT_DATA)->frame)); /* as EPT12 has it */
    ck_assert_ptr_null(found_patch(world_mapped(LEFT, STACK)->frame));
    ck_assert_ptr_eq(found_patch(world_mapped(LEFT, 0x10000000)->frame)->content,
                     hook_page_at(&plan, 0x10000000)->secure);
    /* Nor has one agent the other's data. */
    vcpu = (struct hook_vcpu){.view = 0};
    world_call(RIGHT, world_open_function()->entry);
    show(vcpu.view);
    must_show(LEFT, AGENT_DATA, 0);
    ck_assert_ptr_null(found_patch(world_mapped(RIGHT, AGENT_DATA)->frame));
}
END_TEST

/* A hostile kernel gives one program's agent a page of another program's code. */
START_TEST(code_that_becomes_an_agents)
{
    uint32_t left;

    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    left = vcpu.view;
    show(left);
    must_show(LEFT, CODE, R);
    vcpu = (struct hook_vcpu){.view = 0};
    world_mapped(RIGHT, AGENT_DATA)->frame = world_mapped(LEFT, CODE)->frame;
    world_call(RIGHT, world_open_function()->entry);
    world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    show(left);
    must_show(RIGHT, AGENT_DATA, 0);
}
END_TEST

START_TEST(views_without_a_defence)
{
    world_boot(HOOK_ALL_DEFENCES & ~(HOOK_APP_NX | HOOK_HIDDEN), REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    show(vcpu.view);
    ck_assert_ptr_null(found_patch(world_mapped(LEFT, CODE)->frame));
    ck_assert_uint_eq(found_patch(KERNEL)->rights, R);
    show(0);
    must_show(LEFT, AGENT_DATA, R | W | X);
}
END_TEST

START_TEST(the_agent_starts_as_its_file_says)
{
    uint64_t frame;

    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    frame = world_mapped(LEFT, AGENT_DATA)->frame;
    memset(world_memory[frame / PAGE_SIZE], 0x66, PAGE_SIZE); /* by the program, before */
    world_call(LEFT, world_open_function()->entry);
    ck_assert_int_eq(
        memcmp(world_memory[frame / PAGE_SIZE], hook_page_at(&plan, AGENT_DATA)->file, PAGE_SIZE),
        0);
}
END_TEST

/* What was shown under a view's number is not what is shown now. */
START_TEST(a_view_used_again)
{
    uint64_t version;

    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    version = hook_version(hooks, 1);
    world_at_door(LEFT, 0, MEZZ_GUARD_ALLOWED);
    world_judge();
    world_mapped(LEFT, AGENT_DATA)->frame = world_mapped(LEFT, STACK)->frame;
    world_call(LEFT, world_open_function()->entry);
    world_must(HOOK_KILL, HOOK_REASON_REMAPPED, false);
    world_call(RIGHT, world_open_function()->entry);
    world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    ck_assert_uint_eq(vcpu.view, 1);
    ck_assert_uint_gt(hook_version(hooks, 1), version);
}
END_TEST

/* A refusal may alter what views show: here an agent's data is hidden from now on. */
START_TEST(a_refusal_binds)
{
    uint64_t version;

    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    version = hook_version(hooks, 0);
    world_at(LEFT, world_open_function()->entry);
    world_access.registers.gpr[HOOK_RSP] = 0x7000; /* is not mapped */
    world_judge();
    world_must(HOOK_KILL, HOOK_REASON_NO_STACK, false);
    ck_assert_uint_ne(hook_version(hooks, 0), version);
}
END_TEST

/* The agent asks at the door: the call is not over, and goes on in its view. */
START_TEST(an_agent_that_asks)
{
    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    world_at_door(LEFT, 77, MEZZ_GUARD_ASKS);
    world_judge();
    world_must(HOOK_ASK, HOOK_REASON_ASKED, true);
    ck_assert_uint_eq(outcome.registers.rip, plan.answered);
    ck_assert_uint_eq(outcome.caller, RETURN);
    ck_assert_ptr_eq(outcome.function, world_open_function());
    world_at_door(LEFT, 42, MEZZ_GUARD_ALLOWED);
    world_judge();
    world_must(HOOK_GO_ON, HOOK_REASON_RETURN, false);
}
END_TEST

RUN_CASES("hook_calls", 60, ONCE(a_call), ONCE(a_call_by_a_gate), ONCE(each_space_has_its_view),
          ONCE(a_system_call), ONCE(a_system_call_that_arrives_as_an_invalid_opcode),
          ONCE(an_interrupt), ONCE(memory_that_is_not_there), ONCE(an_address_that_cannot_be),
          ONCE(an_odd_stack), ONCE(views), ONCE(code_that_becomes_an_agents),
          ONCE(views_without_a_defence), ONCE(the_agent_starts_as_its_file_says),
          ONCE(a_view_used_again), ONCE(a_refusal_binds), ONCE(an_agent_that_asks))
