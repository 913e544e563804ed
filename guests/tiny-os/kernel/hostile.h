/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel that does what an attacker in ring 3 asks for: with the option `hostile` only. */
#ifndef TINY_KERNEL_HOSTILE_H
#define TINY_KERNEL_HOSTILE_H

#include <stdbool.h>
#include <stdint.h>

struct frame;

void hostile_allow(void);
bool hostile_allowed(void);

/* The physical page behind a process's address; pid 0: the caller's. */
int64_t hostile_frame(uint64_t pid, uint64_t vaddr);

/* Maps a physical page, whatever it is, for the caller. rights: TINY_MAP_*; 0: nothing is there. */
int64_t hostile_map(uint64_t vaddr, uint64_t paddr, uint64_t rights);

/* The process runs by single steps, which lead to the kernel and on: see abi/steps.h. */
int64_t hostile_step(uint64_t how, uint64_t from, uint64_t to, uint64_t behind);
int64_t hostile_seen(uint64_t to);
/* Whether this was such a step: then there is nothing else to do. */
bool hostile_stepped(const struct frame *frame);
void hostile_resume(struct frame *frame);

/* The process goes on in ring 1, 2 or 3. */
int64_t hostile_ring(uint64_t ring);

/* Puts a table of the processor, or what it names, elsewhere. kind: TINY_TABLE_*. */
int64_t hostile_table(uint64_t kind, uint64_t where, uint64_t vaddr);

/* A page fault of the program is what it waits for (TINY_TABLE_LANDING): its frame goes on. */
bool hostile_lands(const struct frame *frame);

/* -TINY_EFAULT: the processor refuses it. */
int64_t hostile_write_msr(uint64_t msr, uint64_t value);

/* A hypercall as KVM has them. */
int64_t hostile_ask(uint64_t number, uint64_t a, uint64_t b);

/* One instruction with a physical page as its operand. way: TINY_USE_*. */
int64_t hostile_use(uint64_t way, uint64_t where);

/* Between hostile.c and hostile_steps.c: gates of the IDT. */
#define GATE_SIZE       16
#define GATE_RIGHTS     5 /* bytes into the gate */
#define HANDLER(vector) (KERNEL_BASE + KERNEL_TEXT + 16 * (uint64_t)(vector))
extern uint8_t kernel_idt[];
void hostile_set_handler(unsigned vector, uint64_t handler);

#endif
