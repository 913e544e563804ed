/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_PROTECT_WORLD_H
#define TESTS_FUZZ_PROTECT_WORLD_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hookguard/hooks/plan.h"
#include "hookguard/portions/portions.h"

/*
 * An L2 with a kernel and two address spaces, made once: in each the program of
 * unit_portions_builder.h, and libapi.elf with agent.elf, their code in the same frames, their data
 * in frames of their own. L2-physical page n is page WORLD_FIRST + n of L1's memory.
 */
#define WORLD_FIRST  0x60U
#define WORLD_PAGES  400U
#define WORLD_SPACES 2U
#define WORLD_PLANS  3U

#define WORLD_MAIN   0x401010ULL
#define WORLD_SIGN   0x402000ULL
#define WORLD_STACK  0x3fffe000ULL
#define WORLD_KERNEL 0xffffffff80110000ULL /* handler of vector n: 16 * n behind it */
#define WORLD_IDT    0xffffffff80111000ULL
#define WORLD_GDT    0xffffffff80112000ULL
#define WORLD_TSS    0xffffffff80113000ULL
#define WORLD_RSP0   0xffffffff80115000ULL

/* Portion "vault" of program "p": its pages, entry points and data. */
extern struct portion_table world_table;
/* With all defences, with hooks inline, with none. */
extern struct hook_plan world_plan[WORLD_PLANS];

void world_make(void);

/* What is in L2's memory, from its first page on. */
const uint8_t *world_pages(size_t *size);

uint64_t world_cr3(unsigned int space);

/* Addresses that mean something, by number. */
uint64_t world_place(unsigned int number);

/* Where a linear address was mapped when the world was made; page 0 if nowhere. */
uint64_t world_physical(unsigned int space, uint64_t linear);

/* L2-physical address of its entry in the last table; 0: there is no such table. */
uint64_t world_entry(unsigned int space, uint64_t linear);

/* What the processor has in ring 0 or 3. */
void world_ring(struct kvm_sregs *sregs, unsigned int ring);

/* Ring 0 or 3 is in compatibility mode from now on, or in 64-bit mode again. */
void world_change_mode(unsigned int ring);
void world_64_bit(void);

#endif
