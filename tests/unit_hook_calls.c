/* SPDX-License-Identifier: Apache-2.0 */
/* Guarded calls, judged one access at a time, over a guest's memory that is made up here. */
#include "hookguard/hook_calls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/memory.h"
#include "mezz/ept.h"
#include "runner.h"

#define R      MEZZ_EPT_READ
#define W      MEZZ_EPT_WRITE
#define X      MEZZ_EPT_EXECUTE
#define GATE   MEZZ_GUARD_GATE
#define FRAMES 512U
#define FRAME  PAGE_SIZE    /* bytes */
#define LEFT   0x1000000ULL /* two address spaces */
#define RIGHT  0x2000000ULL
#define CODE   0x401000ULL /* an application's page, and its stack */
#define STACK  0x3fffe000ULL
#define RETURN (CODE + 0x123)
#define KERNEL 0x110000ULL /* frame */

static struct program_image library, agent;
static struct hook_plan plan;
static struct hooks *hooks;
static struct error error;
static uint8_t memory[FRAMES][PAGE_SIZE];
static struct mapping {
    uint64_t cr3, linear, frame;
} mapping[256];
static size_t mappings, frames_used;

static struct hook_vcpu vcpu;
static struct hook_outcome outcome;
static struct hook_access access_;

/* --- the guest --- */

static struct mapping *mapped(uint64_t cr3, uint64_t linear)
{
    for (size_t i = 0; i < mappings; i++)
        if (mapping[i].cr3 == cr3 && mapping[i].linear == (linear & ~(PAGE_SIZE - 1)))
            return &mapping[i];
    return NULL;
}

static int translate(void *context, uint64_t cr3, uint64_t linear, uint64_t *frame)
{
    const struct mapping *found = mapped(cr3, linear);

    (void)context;
    if (found == NULL)
        return -EFAULT;
    *frame = found->frame;
    return 0;
}

static int read_memory(void *context, uint64_t address, void *to, size_t length)
{
    (void)context;
    ck_assert_uint_le(address % PAGE_SIZE + length, PAGE_SIZE);
    if (address / PAGE_SIZE >= FRAMES)
        return -EFAULT;
    memcpy(to, memory[address / PAGE_SIZE] + address % PAGE_SIZE, length);
    return 0;
}

static int write_memory(void *context, uint64_t address, const void *from, size_t length)
{
    (void)context;
    ck_assert_uint_le(address % PAGE_SIZE + length, PAGE_SIZE);
    memcpy(memory[address / PAGE_SIZE] + address % PAGE_SIZE, from, length);
    return 0;
}

static int executable(void *context, uint64_t cr3,
                      int (*function)(void *argument, uint64_t frame, bool user), void *argument)
{
    int code = function(argument, KERNEL, false);

    (void)context;
    for (size_t i = 0; i < mappings && code == 0; i++)
        if (mapping[i].cr3 == cr3 && mapping[i].linear != STACK)
            code = function(argument, mapping[i].frame, true);
    return code;
}

static const struct hook_memory guest = {translate, read_memory, write_memory, executable, NULL};

static uint64_t new_frame(void)
{
    ck_assert_uint_lt(frames_used, FRAMES);
    return frames_used++ * FRAME;
}

static void map(uint64_t cr3, uint64_t linear, uint64_t frame)
{
    mapping[mappings++] = (struct mapping){cr3, linear, frame};
}

static void put_word(uint64_t cr3, uint64_t linear, uint64_t word)
{
    memcpy(memory[mapped(cr3, linear)->frame / PAGE_SIZE] + linear % PAGE_SIZE, &word,
           sizeof(word));
}

/* --- the guard --- */

static void open_image(struct program_image *image, const char *name)
{
    static uint8_t bytes[1 << 20];
    char path[512];
    FILE *file;
    size_t size;

    snprintf(path, sizeof(path), "%s/%s", getenv("MEZZ_IMAGES"), name);
    file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    ck_assert_msg(program_image_open(image, name, bytes, size, &error) == 0, "%s", error.text);
}

static uint64_t code_frame[HOOK_PAGES_LIMIT];

/* Two programs; code in the same frames, agent data in frames of their own. */
static void boot(uint32_t defences, enum portion_refusal on_refusal)
{
    static const struct hook_function_declaration functions[] = {{"api_open", NULL, 0},
                                                                 {"api_sum", NULL, 0}};
    const struct hook_declaration declaration = {functions, 2, defences, GATE};
    const uint64_t spaces[] = {LEFT, RIGHT};

    open_image(&library, "libapi.elf");
    open_image(&agent, "agent.elf");
    ck_assert_msg(hook_plan_make(&plan, &library, &agent, &declaration, &error) == 0, "%s",
                  error.text);
    ck_assert_int_eq(hooks_create(&hooks, &plan, &guest, on_refusal), 0);
    frames_used = KERNEL / PAGE_SIZE + 1;
    for (size_t i = 0; i < plan.pages; i++) {
        code_frame[i] = new_frame();
        memcpy(memory[code_frame[i] / PAGE_SIZE], plan.page[i].file, PAGE_SIZE);
    }
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < plan.pages; i++) {
            bool data =
                plan.page[i].kind == HOOK_PAGE_DATA || plan.page[i].kind == HOOK_PAGE_EXCHANGE;

            map(spaces[s], plan.page[i].linear, data ? new_frame() : code_frame[i]);
        }
        map(spaces[s], CODE, new_frame());
        map(spaces[s], STACK, new_frame());
        put_word(spaces[s], STACK + 0x800, RETURN);
    }
    for (uint64_t frame = 0; frame < frames_used * FRAME; frame += FRAME)
        hook_claim(hooks, frame);
}

static void judge(void)
{
    hook_judge(hooks, &vcpu, &access_, &outcome);
}

static void at(uint64_t cr3, uint64_t rip)
{
    const struct mapping *found = mapped(cr3, rip);

    access_ = (struct hook_access){.kind = HOOK_FETCH,
                                   .cpl = 3,
                                   .cr3 = cr3,
                                   .linear = rip,
                                   .linear_known = true,
                                   .frame = found == NULL ? 0 : found->frame,
                                   .registers = {.rip = rip, .rflags = 0x202}};
    for (unsigned int i = 0; i < 16; i++)
        access_.registers.gpr[i] = 0x1000 + i;
    access_.registers.gpr[HOOK_RSP] = STACK + 0x800;
}

static void call(uint64_t cr3, uint64_t entry)
{
    at(cr3, entry);
    judge();
}

static void must(enum hook_action action, enum hook_reason reason, bool inside)
{
    ck_assert_msg(outcome.action == action && outcome.reason == reason, "action %d for %s",
                  outcome.action, hook_reason_name(outcome.reason));
    ck_assert_int_eq(vcpu.view != 0, inside);
    ck_assert_uint_eq(outcome.to, vcpu.view);
}

static void at_door(uint64_t cr3, uint64_t result, uint64_t verdict)
{
    at(cr3, plan.door);
    access_.registers.gpr[HOOK_RSP] = plan.stack_end - 64;
    access_.registers.gpr[HOOK_RAX] = result;
    access_.registers.gpr[HOOK_RDI] = verdict;
}

/* The kernel's first instruction, in the security view. */
static void interrupted(uint64_t cr3, unsigned int vector, uint64_t rip)
{
    at(cr3, 0xffffffff80110000);
    access_.cpl = 0;
    access_.frame = KERNEL;
    access_.interrupt.known = true;
    access_.interrupt.vector = vector;
    access_.interrupt.rip = rip;
    access_.interrupt.rsp = plan.stack_end - 128;
    access_.interrupt.rflags = 0x246;
    judge();
}

static const struct hook_function *open_function(void)
{
    return &plan.function[0];
}

/* --- calls --- */

START_TEST(a_call)
{
    size_t of;

    boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    ck_assert_uint_eq(hook_claimed(hooks, &of), of);
    call(LEFT, open_function()->entry);
    must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    ck_assert(outcome.load);
    ck_assert_uint_eq(outcome.registers.rip, open_function()->entry + HOOK_GATE_BYTES);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RDI], 0x1005);
    ck_assert_ptr_eq(outcome.function, open_function());
    at_door(LEFT, 42, MEZZ_GUARD_ALLOWED);
    judge();
    must(HOOK_GO_ON, HOOK_REASON_RETURN, false);
    ck_assert_uint_eq(outcome.registers.rip, RETURN);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RSP], STACK + 0x808);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RAX], 42);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RDI], 0x1005); /* nothing of the agent's */
    ck_assert_uint_eq(outcome.verdict, MEZZ_GUARD_ALLOWED);
}
END_TEST

START_TEST(a_call_by_a_gate)
{
    boot(HOOK_ALL_DEFENCES & ~HOOK_API_NX, REFUSAL_KILL);
    at(LEFT, open_function()->entry + HOOK_GATE_BYTES);
    access_.kind = HOOK_GATE;
    access_.index = HOOK_INDEX;
    judge();
    must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    ck_assert_uint_eq(outcome.registers.rip, open_function()->entry + HOOK_GATE_BYTES);
}
END_TEST

START_TEST(each_space_has_its_view)
{
    uint32_t left;

    boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    call(LEFT, open_function()->entry);
    left = vcpu.view;
    vcpu = (struct hook_vcpu){.view = 0};
    call(RIGHT, plan.function[1].entry);
    must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    ck_assert_uint_ne(vcpu.view, left);
}
END_TEST

/* Out for a system call, back for its result, with the other registers as they were. */
START_TEST(a_system_call)
{
    boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    call(LEFT, open_function()->entry);
    interrupted(LEFT, 128, open_function()->entry + 0x3a);
    must(HOOK_GO_ON, HOOK_REASON_SYSTEM_CALL, false);
    ck_assert(outcome.rewrite);
    ck_assert_uint_eq(outcome.frame_rip, plan.door);
    ck_assert_uint_eq(outcome.frame_rsp, STACK + 0x800);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RDI], 0x1005); /* an argument */
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RBX], 0);      /* is none */
    call(LEFT, plan.door);
    must(HOOK_GO_ON, HOOK_REASON_BACK, true);
    ck_assert_uint_eq(outcome.registers.rip, open_function()->entry + 0x3a);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RAX], 0x1000); /* the kernel's */
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RBX], 0x1001);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RSP], plan.stack_end - 128);
    ck_assert_uint_eq(outcome.registers.rflags, 0x246);
}
END_TEST

START_TEST(a_system_call_that_arrives_as_an_invalid_opcode)
{
    boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    call(LEFT, open_function()->entry);
    interrupted(LEFT, 128, 0);
    call(LEFT, plan.door);
    access_.interrupt.call_instruction = true;
    at(LEFT, 0xffffffff80110000);
    access_.cpl = 0;
    access_.interrupt.known = true;
    access_.interrupt.vector = 6;
    access_.interrupt.call_instruction = true;
    access_.interrupt.rip = open_function()->entry + 0x38;
    judge();
    must(HOOK_GO_ON, HOOK_REASON_SYSTEM_CALL, false);
    ck_assert(outcome.system_call_vector);
    call(LEFT, plan.door);
    ck_assert_uint_eq(outcome.registers.rip, open_function()->entry + 0x3a);
}
END_TEST

/* The kernel sees nothing of an interrupted agent and cannot alter it. */
START_TEST(an_interrupt)
{
    boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    call(LEFT, open_function()->entry);
    interrupted(LEFT, 32, 0x10200010);
    must(HOOK_GO_ON, HOOK_REASON_INTERRUPT, false);
    for (unsigned int i = 0; i < 16; i++)
        ck_assert_uint_eq(outcome.registers.gpr[i], i == HOOK_RSP ? STACK + 0x800 : 0);
    at(LEFT, plan.door);
    access_.registers.gpr[HOOK_RAX] = 0xbad;
    judge();
    must(HOOK_GO_ON, HOOK_REASON_BACK, true);
    ck_assert_uint_eq(outcome.registers.rip, 0x10200010);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RAX], 0x1000);
    /* Once. */
    at_door(LEFT, 1, MEZZ_GUARD_ALLOWED);
    judge();
    must(HOOK_GO_ON, HOOK_REASON_RETURN, false);
    call(LEFT, plan.door);
    must(HOOK_KILL, HOOK_REASON_NO_CALL, false);
}
END_TEST

START_TEST(memory_that_is_not_there)
{
    boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    call(LEFT, open_function()->entry);
    interrupted(LEFT, 14, plan.copy);
    must(HOOK_GO_ON, HOOK_REASON_UNREADABLE, true);
    ck_assert(outcome.to_user);
    ck_assert_uint_eq(outcome.registers.rip, plan.copy_fault);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RSP], plan.stack_end - 128);
    /* Anywhere else it is the agent's mistake, and the program's end. */
    interrupted(LEFT, 14, plan.copy + 1);
    must(HOOK_GO_ON, HOOK_REASON_AGENT_FAULT, false);
    ck_assert_uint_eq(outcome.frame_rip, RETURN);
    call(LEFT, plan.door);
    must(HOOK_KILL, HOOK_REASON_NO_CALL, false);
}
END_TEST

/* --- refusals --- */

START_TEST(every_offset_but_the_entry)
{
    boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    for (uint64_t offset = 1; offset < PAGE_SIZE; offset++) {
        call(LEFT, open_function()->entry + offset);
        must(HOOK_KILL, HOOK_REASON_NOT_ENTRY, false);
    }
}
END_TEST

START_TEST(a_refused_call_returns)
{
    boot(HOOK_ALL_DEFENCES, REFUSAL_ERROR);
    call(LEFT, open_function()->entry + 0x10);
    must(HOOK_GO_ON, HOOK_REASON_NOT_ENTRY, false);
    ck_assert_uint_eq(outcome.registers.rip, RETURN);
    ck_assert_int_eq((int64_t)outcome.registers.gpr[HOOK_RAX], -1);
    ck_assert_uint_eq(outcome.registers.gpr[HOOK_RSP], STACK + 0x808);
    access_.registers.gpr[HOOK_RSP] = 0x1000; /* nowhere to return to */
    judge();
    must(HOOK_KILL, HOOK_REASON_NOT_ENTRY, false);
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
};

static void make_wrong(enum wrong wrong)
{
    at(LEFT, open_function()->entry);
    switch (wrong) {
    case STRADDLING: /* the instruction began a byte before */
        access_.registers.rip--;
        break;
    case BY_ALIAS:
        access_.linear = access_.registers.rip = 0x20000000;
        break;
    case BY_KERNEL:
        access_.cpl = 0;
        break;
    case TO_AGENT:
        at(LEFT, 0x10200000);
        break;
    case NO_STACK:
        access_.registers.gpr[HOOK_RSP] = 0x5000;
        break;
    case SPLIT_STACK:
        access_.registers.gpr[HOOK_RSP] = STACK + PAGE_SIZE - 4;
        break;
    case UNMAPPED_AGENT:
        mapped(LEFT, 0x10205000)->linear = 0x5000;
        break;
    case OTHER_AGENT:
        mapped(LEFT, 0x10200000)->frame = mapped(LEFT, STACK)->frame;
        break;
    case SHARED_DATA:
        mapped(LEFT, 0x10205000)->frame = mapped(LEFT, 0x10206000)->frame;
        break;
    case CODE_AS_DATA:
        mapped(LEFT, 0x10205000)->frame = mapped(LEFT, 0x10200000)->frame;
        break;
    case AGAIN:
        judge();
        vcpu = (struct hook_vcpu){.view = 0};
        break;
    case WRONGS:
    default:
        break;
    }
}

START_TEST(wrong_call)
{
    boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    make_wrong((enum wrong)_i);
    judge();
    ck_assert_int_lt(_i, WRONGS);
    must(_i == BY_KERNEL ? HOOK_STOP : HOOK_KILL, wrong_reason[_i], false);
}
END_TEST

START_TEST(data_of_another_space)
{
    boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    call(RIGHT, open_function()->entry);
    vcpu = (struct hook_vcpu){.view = 0};
    mapped(LEFT, 0x10205000)->frame = mapped(RIGHT, 0x10205000)->frame;
    call(LEFT, open_function()->entry);
    must(HOOK_KILL, HOOK_REASON_FRAME_TAKEN, false);
}
END_TEST

/* The agent's pages somewhere else than before: the data is gone. */
START_TEST(a_remapped_agent)
{
    uint64_t frame;

    boot(_i ? HOOK_ALL_DEFENCES : HOOK_ALL_DEFENCES & ~HOOK_MAPPING_CHECK, REFUSAL_KILL);
    call(LEFT, open_function()->entry);
    at_door(LEFT, 0, MEZZ_GUARD_ALLOWED);
    judge();
    frame = mapped(LEFT, 0x10205000)->frame;
    memset(memory[frame / PAGE_SIZE], 0x5a, PAGE_SIZE);
    mapped(LEFT, 0x10205000)->frame = mapped(LEFT, STACK)->frame;
    call(LEFT, open_function()->entry);
    if (_i == 0) {
        must(HOOK_GO_ON, HOOK_REASON_CALL, true);
        return;
    }
    must(HOOK_KILL, HOOK_REASON_REMAPPED, false);
    for (size_t i = 0; i < PAGE_SIZE; i++)
        ck_assert_uint_eq(memory[frame / PAGE_SIZE][i], 0);
}
END_TEST

START_TEST(remapped_while_it_waits)
{
    boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    call(LEFT, open_function()->entry);
    interrupted(LEFT, 32, 0x10200010);
    mapped(LEFT, 0x10205000)->frame = mapped(LEFT, STACK)->frame;
    call(LEFT, plan.door);
    must(HOOK_KILL, HOOK_REASON_REMAPPED, false);
    ck_assert_uint_eq(outcome.registers.rip, RETURN);
}
END_TEST

START_TEST(a_changed_return_address)
{
    boot(_i ? HOOK_ALL_DEFENCES : HOOK_ALL_DEFENCES & ~HOOK_RETURN_CHECK, REFUSAL_KILL);
    call(LEFT, open_function()->entry);
    put_word(LEFT, STACK + 0x800, CODE + 0x666);
    at_door(LEFT, 0, MEZZ_GUARD_ALLOWED);
    judge();
    if (_i == 0) {
        must(HOOK_GO_ON, HOOK_REASON_RETURN, false);
        ck_assert_uint_eq(outcome.registers.rip, CODE + 0x666);
        return;
    }
    must(HOOK_KILL, HOOK_REASON_RETURN_CHANGED, false);
    ck_assert_uint_eq(outcome.registers.rip, RETURN);
}
END_TEST

START_TEST(the_callback_kills)
{
    boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    call(LEFT, open_function()->entry);
    at_door(LEFT, 0, _i ? MEZZ_GUARD_KILLED : 12345);
    judge();
    must(HOOK_KILL, HOOK_REASON_KILLED, false);
    ck_assert(outcome.load);
    ck_assert_uint_eq(outcome.registers.rip, RETURN);
}
END_TEST

START_TEST(application_code_in_the_security_view)
{
    boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    call(LEFT, open_function()->entry);
    call(LEFT, CODE);
    must(HOOK_KILL, HOOK_REASON_OUTSIDE, false);
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

    boot(_i & 1 ? defences & ~gates[_i / 2].defence : defences, REFUSAL_KILL);
    at(LEFT, open_function()->entry + gates[_i / 2].offset + HOOK_GATE_BYTES);
    access_.kind = HOOK_GATE;
    access_.index = gates[_i / 2].index;
    judge();
    if (_i & 1 && gates[_i / 2].defence != 0)
        must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    else
        must(HOOK_KILL, gates[_i / 2].reason, false);
}
END_TEST

START_TEST(a_gate_from_ring_0_or_inside)
{
    boot(HOOK_ALL_DEFENCES & ~HOOK_API_NX, REFUSAL_KILL);
    at(LEFT, open_function()->entry + HOOK_GATE_BYTES);
    access_.kind = HOOK_GATE;
    access_.index = HOOK_INDEX;
    access_.cpl = 0;
    judge();
    must(HOOK_NOTHING, HOOK_REASON_STRAY_GATE, false);
    access_.cpl = 3;
    judge();
    must(HOOK_GO_ON, HOOK_REASON_CALL, true);
    judge();
    must(HOOK_KILL, HOOK_REASON_STRAY_GATE, false);
}
END_TEST

static const struct {
    uint64_t linear;
    bool write;
    enum hook_reason reason;
} accesses[] = {
    {0x10200000, false, HOOK_REASON_AGENT_READ}, {0x10205000, true, HOOK_REASON_AGENT_WRITE},
    {0x10203000, false, HOOK_REASON_AGENT_READ}, {0x1020a000, true, HOOK_REASON_AGENT_WRITE},
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

    boot(HOOK_ALL_DEFENCES, refusal);
    call(LEFT, open_function()->entry);
    at_door(LEFT, 0, MEZZ_GUARD_ALLOWED);
    judge();
    at(LEFT, CODE);
    access_.kind = accesses[i].write ? HOOK_WRITE : HOOK_READ;
    access_.linear = accesses[i].linear;
    access_.frame = mapped(LEFT, accesses[i].linear)->frame;
    judge();
    must(action[refusal], accesses[i].reason, false);
    if (refusal == REFUSAL_KILL) {
        access_.cpl = 0;
        judge();
        must(HOOK_NOTHING, accesses[i].reason, false);
    }
    access_.frame = mapped(LEFT, CODE)->frame;
    judge();
    ck_assert_int_eq(outcome.action, HOOK_NOT_OURS);
}
END_TEST

/* A function's local variable, passed to the kernel: while it serves that call, and no more. */
START_TEST(what_is_passed_to_the_kernel)
{
    uint64_t local;
    uint64_t page;

    boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    local = plan.stack_end - 0x100;
    page = local & ~(PAGE_SIZE - 1);
    call(LEFT, open_function()->entry);
    at(LEFT, 0xffffffff80110000);
    access_.cpl = 0;
    access_.frame = KERNEL;
    access_.interrupt.known = true;
    access_.interrupt.vector = 128;
    access_.interrupt.rsp = local - 0x20;
    access_.registers.gpr[HOOK_RSI] = local;
    judge();
    must(HOOK_GO_ON, HOOK_REASON_SYSTEM_CALL, false);
    at(LEFT, CODE);
    access_.kind = HOOK_WRITE;
    access_.cpl = 0;
    access_.frame = mapped(LEFT, page)->frame;
    access_.offset = local % PAGE_SIZE;
    judge();
    ck_assert_int_eq(outcome.action, HOOK_SERVE);
    access_.offset = local % PAGE_SIZE - 1; /* below */
    judge();
    must(HOOK_NOTHING, HOOK_REASON_AGENT_WRITE, false);
    access_.offset = local % PAGE_SIZE;
    access_.cpl = 3; /* another program */
    judge();
    must(HOOK_KILL, HOOK_REASON_AGENT_WRITE, false);
    access_.cpl = 0;
    access_.cr3 = RIGHT;
    judge();
    must(HOOK_NOTHING, HOOK_REASON_AGENT_WRITE, false);
    call(LEFT, plan.door);
    at(LEFT, CODE);
    access_.kind = HOOK_WRITE;
    access_.cpl = 0;
    access_.frame = mapped(LEFT, page)->frame;
    access_.offset = local % PAGE_SIZE;
    vcpu = (struct hook_vcpu){.view = 0};
    judge();
    must(HOOK_NOTHING, HOOK_REASON_AGENT_WRITE, false);
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
    const struct hook_patch *patch = found_patch(mapped(cr3, linear)->frame);

    ck_assert_msg(patch != NULL && patch->rights == rights, "%#lx", (unsigned long)linear);
}

START_TEST(views)
{
    boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    call(LEFT, open_function()->entry);
    show(0);
    must_show(LEFT, 0x10000000, R);
    must_show(LEFT, 0x10200000, 0);
    must_show(LEFT, 0x10203000, 0);
    must_show(LEFT, 0x10205000, 0);
    must_show(LEFT, 0x1020a000, R | X);
    ck_assert_ptr_null(found_patch(mapped(LEFT, 0x10001000)->frame)); /* not guarded */
    ck_assert_ptr_null(found_patch(mapped(LEFT, CODE)->frame));
    show(vcpu.view);
    must_show(LEFT, 0x10000000, R | X);
    must_show(LEFT, 0x10001000, R | X);
    must_show(LEFT, 0x10200000, R | X);
    must_show(LEFT, 0x10203000, 0);
    must_show(LEFT, CODE, R);
    ck_assert_uint_eq(found_patch(KERNEL)->rights, R);
    ck_assert_ptr_null(found_patch(mapped(LEFT, 0x10205000)->frame)); /* as EPT12 has it */
    ck_assert_ptr_null(found_patch(mapped(LEFT, STACK)->frame));
    ck_assert_ptr_eq(found_patch(mapped(LEFT, 0x10000000)->frame)->content,
                     hook_page_at(&plan, 0x10000000)->secure);
    /* Nor has one agent the other's data. */
    vcpu = (struct hook_vcpu){.view = 0};
    call(RIGHT, open_function()->entry);
    show(vcpu.view);
    must_show(LEFT, 0x10205000, 0);
    ck_assert_ptr_null(found_patch(mapped(RIGHT, 0x10205000)->frame));
}
END_TEST

START_TEST(views_without_a_defence)
{
    boot(HOOK_ALL_DEFENCES & ~(HOOK_APP_NX | HOOK_HIDDEN), REFUSAL_KILL);
    call(LEFT, open_function()->entry);
    show(vcpu.view);
    ck_assert_ptr_null(found_patch(mapped(LEFT, CODE)->frame));
    ck_assert_uint_eq(found_patch(KERNEL)->rights, R);
    show(0);
    must_show(LEFT, 0x10205000, R | W | X);
}
END_TEST

START_TEST(the_agent_starts_as_its_file_says)
{
    uint64_t frame;

    boot(HOOK_ALL_DEFENCES, REFUSAL_KILL);
    frame = mapped(LEFT, 0x10205000)->frame;
    memset(memory[frame / PAGE_SIZE], 0x66, PAGE_SIZE); /* by the program, before */
    call(LEFT, open_function()->entry);
    ck_assert_int_eq(
        memcmp(memory[frame / PAGE_SIZE], hook_page_at(&plan, 0x10205000)->file, PAGE_SIZE), 0);
}
END_TEST

RUN_CASES("hook_calls", 60, ONCE(a_call), ONCE(a_call_by_a_gate), ONCE(each_space_has_its_view),
          ONCE(a_system_call), ONCE(a_system_call_that_arrives_as_an_invalid_opcode),
          ONCE(an_interrupt), ONCE(memory_that_is_not_there), ONCE(every_offset_but_the_entry),
          ONCE(a_refused_call_returns), EACH(wrong_call, WRONGS), ONCE(data_of_another_space),
          EACH(a_remapped_agent, 2), ONCE(remapped_while_it_waits),
          EACH(a_changed_return_address, 2), EACH(the_callback_kills, 2),
          ONCE(application_code_in_the_security_view), EACH(bad_gate, 2 * ELEMENTS(gates)),
          ONCE(a_gate_from_ring_0_or_inside), EACH(data_access, REFUSAL_KINDS *ELEMENTS(accesses)),
          ONCE(what_is_passed_to_the_kernel), ONCE(views), ONCE(views_without_a_defence),
          ONCE(the_agent_starts_as_its_file_says))
