/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_PORTIONS_WORLD_H
#define TESTS_PORTIONS_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "hookguard/portions/guard.h"
#include "host/memory.h"

/*
 * A small machine for the guard: address spaces that map pages to frames, one vCPU, and the program
 * of unit_portions_builder.h with a portion "crypto" (entry points SIGN and CHECK; KEY is its
 * data). What goes otherwise than a step says fails the test.
 */
#define FRAMES  64
#define SIGN    0x402000U
#define CHECK   0x402040U
#define MIDDLE  0x402033U
#define KEY     0x406000U
#define MAIN    0x401010U
#define HANDLER 0xffffffff80110000U
#define STACK   0x3fffe000U

/* Frames 1 and 2 have the code, 3 the key of the first process, whose CR3 is 0x1000. */
extern uint8_t world_frame[FRAMES][PAGE_SIZE];
extern uint64_t world_generation[FRAMES];
extern uint32_t world_occupied; /* a view that some other vCPU still sees; 0: none */
extern struct portion_table table;
extern struct portion_guard *guard;
extern struct portion_guard_vcpu vcpu;
extern struct portion_guard_outcome outcome; /* of the last step */

/* rules: of libyara, or NULL. */
void world_setup(void);
/* The portion tolerates this from now on. */
void world_tolerate(enum decision_reason reason);
void world_setup_rules(const char *rules, enum portion_refusal on_refusal);
void world_finish(void);

/* Maps anew, or with frame 0 not at all. */
void world_map(uint64_t cr3, uint64_t linear, uint64_t frame);
void world_map_process(uint64_t cr3, uint64_t code, uint64_t data);
extern const struct portion_guard_memory world_memory; /* what the guard was created on */

struct portion_guard_access world_access(enum portion_access kind, uint64_t cr3, uint64_t linear);

/* Steps: what the guard has to say of each. */
void world_judge(const struct portion_guard_access *access, enum decision_verdict verdict,
                 enum decision_reason reason);
void world_fetch(uint64_t linear, enum decision_verdict verdict, enum decision_reason reason);
/* By SIGN, in the first process, whose key the portion then makes: frame 3 is full of 0xaa. */
void world_enter(void);

/* The kernel's first instruction after the portion was interrupted at rip. */
void world_interrupt(uint64_t rip, bool trusted, enum decision_reason reason);
void world_go_back(uint64_t rip, uint64_t rsp, enum decision_verdict verdict,
                   enum decision_reason reason);

#endif
