/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel that does what an attacker in ring 3 asks for: with the option `hostile` only. */
#ifndef TINY_KERNEL_HOSTILE_H
#define TINY_KERNEL_HOSTILE_H

#include <stdbool.h>
#include <stdint.h>

struct frame;

void hostile_allow(void);

/* The physical page behind a process's address; pid 0: the caller's. */
int64_t hostile_frame(uint64_t pid, uint64_t vaddr);

/* Maps a physical page, whatever it is, for the caller. rights: TINY_MAP_*; 0: nothing is there. */
int64_t hostile_map(uint64_t vaddr, uint64_t paddr, uint64_t rights);

/* Whether the process runs by single steps, which lead to the kernel and on. */
int64_t hostile_step(uint64_t on);
bool hostile_steps(void);
void hostile_resume(struct frame *frame);

/* Puts a table of the processor, or what it names, elsewhere. kind: TINY_TABLE_*. */
int64_t hostile_table(uint64_t kind, uint64_t where, uint64_t vaddr);

/* One that the processor refuses is the kernel's end. */
int64_t hostile_write_msr(uint64_t msr, uint64_t value);

#endif
