/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_HOOK_WORLD_H
#define TESTS_HOOK_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hookguard/hooks/calls.h"
#include "host/memory.h"
#include "mezz/ept.h"

/*
 * A guest made up for guarded calls: two programs that share the code of libapi.elf and agent.elf,
 * one vCPU, and the plan that guards api_open and api_sum. A test sets world_access, has it judged,
 * and says what must have come of it.
 */
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

extern struct hook_plan plan;
extern struct hooks *hooks;
extern struct hook_vcpu vcpu;
extern struct hook_outcome outcome;
extern struct hook_access world_access;
extern uint8_t world_memory[FRAMES][PAGE_SIZE];
extern uint64_t world_code_frame[HOOK_PAGES_LIMIT];

struct mapping {
    uint64_t cr3, linear, frame;
    bool barred; /* by a table that lies in an agent's frame */
};

/* Whether the processor's own tables are the kernel's. */
extern bool world_sound;

/* NULL: not mapped. */
struct mapping *world_mapped(uint64_t cr3, uint64_t linear);
void world_map(uint64_t cr3, uint64_t linear, uint64_t frame);
uint64_t world_new_frame(void);
void world_put_word(uint64_t cr3, uint64_t linear, uint64_t word);

/* Two programs; code in the same frames, agent data in frames of their own. */
void world_boot(uint32_t defences, enum portion_refusal on_refusal);
const struct hook_function *world_open_function(void);

/* The access: a fetch in ring 3, with registers that can be told apart. */
void world_at(uint64_t cr3, uint64_t rip);
void world_at_door(uint64_t cr3, uint64_t result, uint64_t verdict);

/* The same, judged. */
void world_judge(void);
void world_call(uint64_t cr3, uint64_t entry);

/* The kernel's first instruction, in the security view. */
void world_interrupted(uint64_t cr3, unsigned int vector, uint64_t rip);

void world_must(enum hook_action action, enum hook_reason reason, bool inside);

#endif
