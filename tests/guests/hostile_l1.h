/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOSTILE_L1_H
#define HOSTILE_L1_H

#include "kit.h"

/*
 * An L1 that tries what comes to its mind. Chance is a linear congruential generator, of which only
 * the high bits are used and whose seed is on the command line, so that a run can be had again.
 *
 * It must survive itself, or it would try nothing any more: what the root or an L2 writes for it
 * lies in a part of memory of its own (the arena), an entry is bounded by the preemption timer, and
 * the objects of its well-behaved L2, the canary, are of a number that it does not try.
 */

#define CANARY      1
#define ARENA_PAGES 512U
#define VMCS_PAGES  16U /* VMCS12s of vCPUs lie here */
#define EPT_SETS    8U  /* of five tables each */
#define EPT_TABLES  5U

struct hostile {
    uint64_t state; /* of the generator; not 0 */
    uint64_t arena;
    uint64_t vmcs;
    uint64_t ept;
    uint64_t stacks; /* of handlers: 8 pages that nobody else writes to */
    uint64_t calls;
    uint64_t refused;
    uint64_t entries;
    uint64_t exits[2]; /* entry failures, others */
    uint64_t deliveries;
};

extern struct hostile hostile;

/* A few instructions, because some KVMs emulate L1. */
static inline uint64_t chance32(void)
{
    hostile.state = hostile.state * 6364136223846793005ULL + 1442695040888963407ULL;
    return hostile.state >> 32;
}

static inline uint64_t chance(void)
{
    return chance32() << 32 ^ chance32();
}

/* Less than n, which is less than 2^32. */
static inline uint64_t below(uint64_t n)
{
    return chance32() * n >> 32;
}

static inline bool one_in(uint64_t n)
{
    return below(n) == 0;
}

static inline uint64_t arena_page(void)
{
    return hostile.arena + below(ARENA_PAGES) * MEZZ_PAGE_SIZE;
}

/* Numbers that programs get wrong. */
uint64_t strange_number(void);
/* A page of the arena, mostly; otherwise what no call must accept. */
uint64_t strange_address(void);
/* The number of an L2, a vCPU or a callback that may exist, never the canary's. */
uint64_t strange_id(void);

int64_t hostile_call(uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx);

/* What the loop of the program chooses from (hostile_l1_tries.c). */
void try_call(void);
void try_vmcs(void);
void try_field(void);
void try_ept(void);
void try_views(void);
void try_registration(void);
void try_entry(void);
void try_life(void);
void try_machine(void);

/* One of hostile_l1_cases.c: 1 if it was stopped as it has to be, 0 if not, negative if there is
 * none of this name. */
int run_case(const char *name);

/* A handler that never returns, and one that halts. */
_Noreturn void handler_that_spins(void);
_Noreturn void handler_that_halts(void);

#endif
