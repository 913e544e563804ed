/* SPDX-License-Identifier: Apache-2.0 */
/* Guarded calls with something wrong, judged one access at a time. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent_layout.h"
#include "hook_world.h"
#include "runner.h"

START_TEST(every_offset_but_the_entry)
{
    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    for (uint64_t offset = 1; offset < PAGE_SIZE; offset++) {
        world_call(LEFT, world_open_function()->entry + offset);
        world_must(HOOK_KILL, HOOK_REASON_NOT_ENTRY, false);
        ck_assert_ptr_eq(outcome.function, world_open_function()); /* whose page it is */
    }
}
END_TEST

START_TEST(a_refused_call_returns)
{
    world_boot(HOOK_ALL_DEFENCES, REFUSAL_ERROR);
    world_call(LEFT, world_open_function()->entry + 0x10);
    world_must(HOOK_GO_ON, HOOK_REASON_NOT_ENTRY, false);
    ck_assert_uint_eq(outcome.registers.rip, RETURN);
    ck_assert_int_eq((int64_t)outcome.registers.gpr[HOOK_RAX], -1);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RSP], STACK + 0x808);
    world_access.registers.gpr[HOOK_RSP] = 0x1000; /* nowhere to return to */
    world_judge();
    world_must(HOOK_KILL, HOOK_REASON_NOT_ENTRY, false);
}
END_TEST

/* One thing wrong with a good call. */
enum wrong {
    STRADDLING,
    BY_ALIAS,
    BY_KERNEL,
    TO_AGENT,
    NO_STACK,
    SPLIT_STACK,
    UNMAPPED_AGENT,
    OTHER_AGENT,
    SHARED_DATA,
    CODE_AS_DATA,
    AGAIN,
    OTHER_MODE,
    WRONGS
};

static const enum hook_reason wrong_reason[WRONGS] = {
    [STRADDLING] = HOOK_REASON_NOT_ENTRY,
    [BY_ALIAS] = HOOK_REASON_ALIAS,
    [BY_KERNEL] = HOOK_REASON_KERNEL_FETCH,
    [TO_AGENT] = HOOK_REASON_AGENT_FETCH,
    [NO_STACK] = HOOK_REASON_NO_STACK,
    [SPLIT_STACK] = HOOK_REASON_NO_STACK,
    [UNMAPPED_AGENT] = HOOK_REASON_NOT_MAPPED,
    [OTHER_AGENT] = HOOK_REASON_CODE_DIFFERS,
    [SHARED_DATA] = HOOK_REASON_FRAME_TAKEN,
    [CODE_AS_DATA] = HOOK_REASON_FRAME_TAKEN,
    [AGAIN] = HOOK_REASON_BUSY,
    [OTHER_MODE] = HOOK_REASON_NOT_64_BIT,
};

static void make_wrong(enum wrong wrong)
{
    world_at(LEFT, world_open_function()->entry);
    switch (wrong) {
    case STRADDLING: /* the instruction began a byte before */
        world_access.registers.rip--;
        break;
    case BY_ALIAS:
        world_access.linear = world_access.registers.rip = 0x20000000;
        break;
    case BY_KERNEL:
        world_access.cpl = 0;
        break;
    case TO_AGENT:
        world_at(LEFT, AGENT_CODE);
        break;
    case NO_STACK:
        world_access.registers.gpr[HOOK_RSP] = 0x5000;
        break;
    case SPLIT_STACK:
        world_access.registers.gpr[HOOK_RSP] = STACK + PAGE_SIZE - 4;
        break;
    case UNMAPPED_AGENT:
        world_mapped(LEFT, AGENT_DATA)->linear = 0x5000;
        break;
    case OTHER_AGENT:
        world_mapped(LEFT, AGENT_CODE)->frame = world_mapped(LEFT, STACK)->frame;
        break;
    case SHARED_DATA:
        world_mapped(LEFT, AGENT_DATA)->frame = world_mapped(LEFT, AGENT_STACK)->frame;
        break;
    case CODE_AS_DATA:
        world_mapped(LEFT, AGENT_DATA)->frame = world_mapped(LEFT, AGENT_CODE)->frame;
        break;
    case AGAIN:
        world_judge();
        vcpu = (struct hook_vcpu){.view = 0};
        break;
    case OTHER_MODE:
        world_access.other_mode = true;
        break;
    case WRONGS:
    default:
        break;
    }
}

START_TEST(wrong_call)
{
    const enum wrong wrong = (enum wrong)_i;

    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    make_wrong(wrong);
    world_judge();
    world_must(wrong == BY_KERNEL ? HOOK_STOP : HOOK_KILL, wrong_reason[wrong], false);
}
END_TEST

/* The agent's stack has to end: before the first call, and before each. */
START_TEST(something_below_the_stack)
{
    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    if (_i != 0) {
        world_call(LEFT, world_open_function()->entry);
        world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
        world_at_door(LEFT, 0, MEZZ_GUARD_ALLOWED);
        world_judge();
    }
    world_map(LEFT, plan.stack - PAGE_SIZE, world_new_frame());
    world_call(LEFT, world_open_function()->entry);
    world_must(HOOK_KILL, HOOK_REASON_REMAPPED, false);
}
END_TEST

START_TEST(data_of_another_space)
{
    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(RIGHT, world_open_function()->entry);
    vcpu = (struct hook_vcpu){.view = 0};
    world_mapped(LEFT, AGENT_DATA)->frame = world_mapped(RIGHT, AGENT_DATA)->frame;
    world_call(LEFT, world_open_function()->entry);
    world_must(HOOK_KILL, HOOK_REASON_FRAME_TAKEN, false);
}
END_TEST

/* The agent's pages somewhere else than before: the data is gone. */
START_TEST(a_remapped_agent)
{
    uint64_t frame;

    world_boot(_i ? HOOK_ALL_DEFENCES : HOOK_ALL_DEFENCES & ~HOOK_MAPPING_CHECK, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    world_at_door(LEFT, 0, MEZZ_GUARD_ALLOWED);
    world_judge();
    frame = world_mapped(LEFT, AGENT_DATA)->frame;
    memset(world_memory[frame / PAGE_SIZE], 0x5a, PAGE_SIZE);
    world_mapped(LEFT, AGENT_DATA)->frame = world_mapped(LEFT, STACK)->frame;
    world_call(LEFT, world_open_function()->entry);
    if (_i == 0) {
        world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
        return;
    }
    world_must(HOOK_KILL, HOOK_REASON_REMAPPED, false);
    for (size_t i = 0; i < PAGE_SIZE; i++)
        ck_assert_uint_eq(world_memory[frame / PAGE_SIZE][i], 0);
}
END_TEST

/* Nor is it given away or wiped beneath a vCPU that is inside. */
START_TEST(remapped_while_another_vcpu_is_inside)
{
    struct hook_vcpu first;
    uint64_t frame;

    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    first = vcpu;
    frame = world_mapped(LEFT, AGENT_DATA)->frame;
    memset(world_memory[frame / PAGE_SIZE], 0x5a, PAGE_SIZE);
    world_mapped(LEFT, AGENT_DATA)->frame = world_mapped(LEFT, STACK)->frame;
    vcpu = (struct hook_vcpu){.view = 0};
    world_call(LEFT, world_open_function()->entry);
    world_must(HOOK_KILL, HOOK_REASON_REMAPPED, false);
    ck_assert_uint_eq(world_memory[frame / PAGE_SIZE][0], 0x5a);
    vcpu = first;
    world_at_door(LEFT, 0, MEZZ_GUARD_ALLOWED);
    world_judge();
    world_must(HOOK_GO_ON, HOOK_REASON_RETURN, false);
    world_call(LEFT, world_open_function()->entry);
    world_must(HOOK_KILL, HOOK_REASON_REMAPPED, false);
    ck_assert_uint_eq(world_memory[frame / PAGE_SIZE][0], 0);
}
END_TEST

/* A second vCPU in the same address space: one call at a time, unless the first one's vCPU is no
 * more. */
START_TEST(two_vcpus_in_a_space)
{
    struct hook_vcpu first;

    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    first = vcpu;
    vcpu = (struct hook_vcpu){.view = 0};
    world_call(LEFT, world_open_function()->entry);
    world_must(HOOK_KILL, HOOK_REASON_BUSY, false);
    hook_vcpu_gone(hooks, &first);
    ck_assert_uint_eq(first.view, 0);
    world_call(LEFT, world_open_function()->entry);
    world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
}
END_TEST

START_TEST(remapped_while_it_waits)
{
    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    world_interrupted(LEFT, 32, AGENT_CODE + 0x10);
    world_mapped(LEFT, AGENT_DATA)->frame = world_mapped(LEFT, STACK)->frame;
    world_call(LEFT, plan.door);
    world_must(HOOK_KILL, HOOK_REASON_REMAPPED, false);
    ck_assert_uint_eq(outcome.registers.rip, RETURN);
}
END_TEST

START_TEST(back_in_another_mode)
{
    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    world_interrupted(LEFT, 32, AGENT_CODE + 0x10);
    world_at(LEFT, plan.door);
    world_access.other_mode = true;
    world_judge();
    world_must(HOOK_KILL, HOOK_REASON_NOT_64_BIT, false);
}
END_TEST

START_TEST(a_changed_return_address)
{
    world_boot(_i ? HOOK_ALL_DEFENCES : HOOK_ALL_DEFENCES & ~HOOK_RETURN_CHECK, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    world_put_word(LEFT, STACK + 0x800, CODE + 0x666);
    world_at_door(LEFT, 0, MEZZ_GUARD_ALLOWED);
    world_judge();
    if (_i == 0) {
        world_must(HOOK_GO_ON, HOOK_REASON_RETURN, false);
        ck_assert_uint_eq(outcome.registers.rip, CODE + 0x666);
        return;
    }
    world_must(HOOK_KILL, HOOK_REASON_RETURN_CHANGED, false);
    ck_assert_uint_eq(outcome.registers.rip, RETURN);
}
END_TEST

START_TEST(the_callback_kills)
{
    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    world_at_door(LEFT, 0, _i ? MEZZ_GUARD_KILLED : 12345);
    world_judge();
    world_must(HOOK_KILL, HOOK_REASON_KILLED, false);
    ck_assert(outcome.load);
    ck_assert_uint_eq(outcome.registers.rip, RETURN);
}
END_TEST

START_TEST(application_code_in_the_security_view)
{
    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    world_call(LEFT, world_open_function()->entry);
    world_call(LEFT, CODE);
    world_must(HOOK_KILL, HOOK_REASON_OUTSIDE, false);
}
END_TEST

/* Gates: index, site. Each is refused, and with the check off goes through. */
static const struct {
    uint64_t index;
    uint64_t offset; /* of the gate from the entry */
    uint32_t defence;
    enum hook_reason reason;
} gates[] = {
    {HOOK_INDEX, 0x100, HOOK_GATE_SITES, HOOK_REASON_STRAY_GATE},
    {HOOK_INDEX, 1, HOOK_GATE_SITES, HOOK_REASON_STRAY_GATE},
    {0, 0, HOOK_GATE_INDEX, HOOK_REASON_BAD_INDEX},
    {512, 0x100, HOOK_GATE_INDEX, HOOK_REASON_BAD_INDEX},
    {1ULL << 63, 0x100, HOOK_GATE_INDEX, HOOK_REASON_BAD_INDEX},
    {HOOK_TRAP_INDEX, 0xfe8, 0, HOOK_REASON_NOT_ENTRY},
};

START_TEST(bad_gate)
{
    uint32_t defences = HOOK_ALL_DEFENCES & ~HOOK_API_NX;

    world_boot(_i & 1 ? defences & ~gates[_i / 2].defence : defences, REFUSAL_KILL);
    world_at(LEFT, world_open_function()->entry + gates[_i / 2].offset + HOOK_GATE_BYTES);
    world_access.kind = HOOK_GATE;
    world_access.index = gates[_i / 2].index;
    world_judge();
    if (_i & 1 && gates[_i / 2].defence != 0)
        world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    else
        world_must(HOOK_KILL, gates[_i / 2].reason, false);
}
END_TEST

START_TEST(a_stray_gate_in_another_mode)
{
    world_boot(HOOK_ALL_DEFENCES & ~(HOOK_API_NX | HOOK_GATE_SITES), REFUSAL_KILL);
    world_at(LEFT, CODE);
    world_access.kind = HOOK_GATE;
    world_access.index = HOOK_INDEX;
    world_access.other_mode = true;
    world_judge();
    world_must(HOOK_KILL, HOOK_REASON_NOT_64_BIT, false);
}
END_TEST

START_TEST(a_gate_from_ring_0_or_inside)
{
    world_boot(HOOK_ALL_DEFENCES & ~HOOK_API_NX, REFUSAL_KILL);
    world_at(LEFT, world_open_function()->entry + HOOK_GATE_BYTES);
    world_access.kind = HOOK_GATE;
    world_access.index = HOOK_INDEX;
    world_access.cpl = 0;
    world_judge();
    world_must(HOOK_NOTHING, HOOK_REASON_STRAY_GATE, false);
    world_access.cpl = 3;
    world_judge();
    world_must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    world_judge();
    world_must(HOOK_KILL, HOOK_REASON_STRAY_GATE, false);
}
END_TEST

static const struct {
    uint64_t linear;
    bool write;
    enum hook_reason reason;
} accesses[] = {
    {AGENT_CODE, false, HOOK_REASON_AGENT_READ}, {AGENT_DATA, true, HOOK_REASON_AGENT_WRITE},
    {AGENT_DOOR, false, HOOK_REASON_AGENT_READ}, {AGENT_EXCHANGE, true, HOOK_REASON_AGENT_WRITE},
    {0x10000000, true, HOOK_REASON_CODE_WRITE},
};

START_TEST(data_access)
{
    static const enum hook_action action[] = {[REFUSAL_LOG] = HOOK_SERVE,
                                              [REFUSAL_ERROR] = HOOK_NOTHING,
                                              [REFUSAL_KILL] = HOOK_KILL,
                                              [REFUSAL_STOP] = HOOK_STOP};
    enum portion_refusal refusal = (enum portion_refusal)(_i % REFUSAL_KINDS);
    size_t i = (size_t)_i / REFUSAL_KINDS;

    world_boot(HOOK_ALL_DEFENCES, refusal);
    world_call(LEFT, world_open_function()->entry);
    world_at_door(LEFT, 0, MEZZ_GUARD_ALLOWED);
    world_judge();
    world_at(LEFT, CODE);
    world_access.kind = accesses[i].write ? HOOK_WRITE : HOOK_READ;
    world_access.linear = accesses[i].linear;
    world_access.frame = world_mapped(LEFT, accesses[i].linear)->frame;
    world_judge();
    world_must(action[refusal], accesses[i].reason, false);
    if (refusal == REFUSAL_KILL) {
        world_access.cpl = 0;
        world_judge();
        world_must(HOOK_NOTHING, accesses[i].reason, false);
    }
    world_access.frame = world_mapped(LEFT, CODE)->frame;
    world_judge();
    ck_assert_int_eq(outcome.action, HOOK_NOT_OURS);
}
END_TEST

/* A function's local variable, passed to the kernel: while it serves that call, and no more. */
START_TEST(what_is_passed_to_the_kernel)
{
    uint64_t local;
    uint64_t page;

    world_boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    local = plan.stack_end - 0x100;
    page = local & ~(PAGE_SIZE - 1);
    world_call(LEFT, world_open_function()->entry);
    world_at(LEFT, 0xffffffff80110000);
    world_access.cpl = 0;
    world_access.frame = KERNEL;
    world_access.interrupt.known = true;
    world_access.interrupt.vector = 128;
    world_access.interrupt.rsp = local - 0x20;
    world_access.registers.gpr[HOOK_RSI] = local;
    world_judge();
    world_must(HOOK_GO_ON, HOOK_REASON_SYSTEM_CALL, false);
    world_at(LEFT, CODE);
    world_access.kind = HOOK_WRITE;
    world_access.cpl = 0;
    world_access.frame = world_mapped(LEFT, page)->frame;
    world_access.offset = local % PAGE_SIZE;
    world_judge();
    ck_assert_int_eq(outcome.action, HOOK_SERVE);
    world_access.offset = local % PAGE_SIZE - 1; /* below */
    world_judge();
    world_must(HOOK_NOTHING, HOOK_REASON_AGENT_WRITE, false);
    world_access.offset = local % PAGE_SIZE;
    world_access.cpl = 3; /* another program */
    world_judge();
    world_must(HOOK_KILL, HOOK_REASON_AGENT_WRITE, false);
    world_access.cpl = 0;
    world_access.cr3 = RIGHT;
    world_judge();
    world_must(HOOK_NOTHING, HOOK_REASON_AGENT_WRITE, false);
    world_call(LEFT, plan.door);
    world_at(LEFT, CODE);
    world_access.kind = HOOK_WRITE;
    world_access.cpl = 0;
    world_access.frame = world_mapped(LEFT, page)->frame;
    world_access.offset = local % PAGE_SIZE;
    vcpu = (struct hook_vcpu){.view = 0};
    world_judge();
    world_must(HOOK_NOTHING, HOOK_REASON_AGENT_WRITE, false);
}
END_TEST

RUN_CASES("hook_refusals", 60, ONCE(every_offset_but_the_entry), ONCE(a_refused_call_returns),
          EACH(wrong_call, WRONGS), EACH(something_below_the_stack, 2), ONCE(data_of_another_space),
          EACH(a_remapped_agent, 2), ONCE(remapped_while_another_vcpu_is_inside),
          ONCE(two_vcpus_in_a_space), ONCE(remapped_while_it_waits), ONCE(back_in_another_mode),
          EACH(a_changed_return_address, 2), EACH(the_callback_kills, 2),
          ONCE(application_code_in_the_security_view), EACH(bad_gate, 2 * ELEMENTS(gates)),
          ONCE(a_stray_gate_in_another_mode), ONCE(a_gate_from_ring_0_or_inside),
          EACH(data_access, REFUSAL_KINDS *ELEMENTS(accesses)), ONCE(what_is_passed_to_the_kernel))
