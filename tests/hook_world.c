/* SPDX-License-Identifier: Apache-2.0 */
#include "hook_world.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_program.h"

struct hook_plan plan;
struct hooks *hooks;
struct hook_vcpu vcpu;
struct hook_outcome outcome;
struct hook_access world_access;
uint8_t world_memory[FRAMES][PAGE_SIZE];
uint64_t world_code_frame[HOOK_PAGES_LIMIT];
bool world_sound = true;

static struct program_image library, agent;
static struct error error;
static struct mapping mapping[256];
static size_t mappings, frames_used;

struct mapping *world_mapped(uint64_t cr3, uint64_t linear)
{
    for (size_t i = 0; i < mappings; i++)
        if (mapping[i].cr3 == cr3 && mapping[i].linear == (linear & ~(PAGE_SIZE - 1)))
            return &mapping[i];
    return NULL;
}

static int translate(void *context, uint64_t cr3, uint64_t linear, uint64_t *frame)
{
    const struct mapping *found = world_mapped(cr3, linear);

    (void)context;
    if (found == NULL)
        return -EFAULT;
    *frame = found->frame;
    return found->barred ? -EACCES : 0;
}

static bool sound(void *context, unsigned int number, uint64_t cr3)
{
    (void)context;
    ck_assert_uint_lt(number, HOOK_VIEWS);
    ck_assert(cr3 == LEFT || cr3 == RIGHT);
    return world_sound;
}

static int read_memory(void *context, uint64_t address, void *to, size_t length)
{
    (void)context;
    ck_assert_uint_le(address % PAGE_SIZE + length, PAGE_SIZE);
    if (address / PAGE_SIZE >= FRAMES)
        return -EFAULT;
    memcpy(to, world_memory[address / PAGE_SIZE] + address % PAGE_SIZE, length);
    return 0;
}

static int write_memory(void *context, uint64_t address, const void *from, size_t length)
{
    (void)context;
    ck_assert_uint_le(address % PAGE_SIZE + length, PAGE_SIZE);
    memcpy(world_memory[address / PAGE_SIZE] + address % PAGE_SIZE, from, length);
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

static const struct hook_memory guest = {translate, read_memory, write_memory, executable,
                                         NULL,      NULL,        sound,        NULL};

uint64_t world_new_frame(void)
{
    ck_assert_uint_lt(frames_used, FRAMES);
    return frames_used++ * FRAME;
}

void world_map(uint64_t cr3, uint64_t linear, uint64_t frame)
{
    mapping[mappings++] = (struct mapping){cr3, linear, frame, false};
}

void world_put_word(uint64_t cr3, uint64_t linear, uint64_t word)
{
    memcpy(world_memory[world_mapped(cr3, linear)->frame / PAGE_SIZE] + linear % PAGE_SIZE, &word,
           sizeof(word));
}

/* --- the guard --- */

void world_boot(uint32_t defences, enum portion_refusal on_refusal)
{
    static const struct hook_function_declaration functions[] = {{"api_open", NULL, 0},
                                                                 {"api_sum", NULL, 0}};
    const struct hook_declaration declaration = {functions, 2, defences, GATE, true, false};
    const uint64_t spaces[] = {LEFT, RIGHT};

    test_program_open(&library, "libapi.elf");
    test_program_open(&agent, "agent.elf");
    ck_assert_msg(hook_plan_make(&plan, &library, &agent, &declaration, &error) == 0, "%s",
                  error.text);
    ck_assert_int_eq(hooks_create(&hooks, &plan, &guest, on_refusal), 0);
    frames_used = KERNEL / PAGE_SIZE + 1;
    for (size_t i = 0; i < plan.pages; i++) {
        world_code_frame[i] = world_new_frame();
        memcpy(world_memory[world_code_frame[i] / PAGE_SIZE], plan.page[i].file, PAGE_SIZE);
    }
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < plan.pages; i++) {
            bool data =
                plan.page[i].kind == HOOK_PAGE_DATA || plan.page[i].kind == HOOK_PAGE_EXCHANGE;

            world_map(spaces[s], plan.page[i].linear,
                      data ? world_new_frame() : world_code_frame[i]);
        }
        world_map(spaces[s], CODE, world_new_frame());
        world_map(spaces[s], STACK, world_new_frame());
        world_put_word(spaces[s], STACK + 0x800, RETURN);
    }
    for (uint64_t frame = 0; frame < frames_used * FRAME; frame += FRAME)
        hook_claim(hooks, frame);
}

void world_judge(void)
{
    const uint64_t version = hook_version(hooks, 0);
    /* It says before it judges whether pages come or go. */
    const bool moves = hook_moves_pages(hooks, &vcpu, &world_access);

    hook_judge(hooks, &vcpu, &world_access, &outcome);
    ck_assert(moves || hook_version(hooks, 0) == version);
}

void world_at(uint64_t cr3, uint64_t rip)
{
    const struct mapping *found = world_mapped(cr3, rip);

    world_access = (struct hook_access){.kind = HOOK_FETCH,
                                        .cpl = 3,
                                        .cr3 = cr3,
                                        .linear = rip,
                                        .linear_known = true,
                                        .frame = found == NULL ? 0 : found->frame,
                                        .registers = {.rip = rip, .rflags = 0x202}};
    for (unsigned int i = 0; i < 16; i++)
        world_access.registers.gpr[i] = 0x1000 + i;
    world_access.registers.gpr[HOOK_RSP] = STACK + 0x800;
}

void world_call(uint64_t cr3, uint64_t entry)
{
    world_at(cr3, entry);
    world_judge();
}

void world_must(enum hook_action action, enum hook_reason reason, bool inside)
{
    ck_assert_msg(outcome.action == action && outcome.reason == reason, "action %d for %s",
                  outcome.action, hook_reason_name(outcome.reason));
    ck_assert_int_eq(vcpu.view != 0, inside);
    ck_assert_uint_eq(outcome.to, vcpu.view);
}

void world_at_door(uint64_t cr3, uint64_t result, uint64_t verdict)
{
    world_at(cr3, plan.door);
    world_access.registers.gpr[HOOK_RSP] = plan.stack_end - 64;
    world_access.registers.gpr[HOOK_RAX] = result;
    world_access.registers.gpr[HOOK_RDI] = verdict;
}

void world_interrupted(uint64_t cr3, unsigned int vector, uint64_t rip)
{
    world_at(cr3, 0xffffffff80110000);
    world_access.cpl = 0;
    world_access.frame = KERNEL;
    world_access.interrupt.known = true;
    world_access.interrupt.vector = vector;
    world_access.interrupt.rip = rip;
    world_access.interrupt.rsp = plan.stack_end - 128;
    world_access.interrupt.rflags = 0x246;
    world_judge();
}

const struct hook_function *world_open_function(void)
{
    return &plan.function[0];
}
