/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SPACE_WORLD_H
#define TESTS_SPACE_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/l2.h"
#include "vmm/protect/portions/address_space.h"

/* A guest with an address space, of a program of one page and a kernel, that is read and noted. */
#define P        (1ULL << 0)
#define W        (1ULL << 1)
#define U        (1ULL << 2)
#define ACCESSED (1ULL << 5)
#define DIRTY    (1ULL << 6)
#define NX       (1ULL << 63)

/* The guest: pages 0 to 15. The program's tables for 0x400000, and the kernel's for KERNEL. */
#define ROOT      0x1000U
#define TABLE_3   0x2000U
#define TABLE_2   0x3000U
#define TABLE_1   0x4000U
#define KERNEL_3  0x5000U
#define KERNEL_2  0x6000U
#define KERNEL_1  0x7000U
#define TABLES    0x8000U /* IDT at 0, GDT at 0x800, TSS at 0x900 */
#define STACK     0x9000U
#define HANDLER   0xa000U
#define CALLED    0xb000U
#define PROGRAM   0xc000U
#define SPARE     0xd000U
#define MORE      0xe000U
#define PAGES     16U

#define LINEAR    0x400000ULL
#define KERNEL    0xffffff8000000000ULL
#define IDT_GATES 16U
#define SEGMENT   8U /* in the GDT: its code of ring 0 */

extern uint8_t pages[PAGES][PAGE_SIZE];
extern struct kvm_run run;
extern struct l2_vcpu *guest_vcpu;
extern uint64_t *view_changes; /* of the space: space_changes() */
extern struct guest_memory memory;
extern struct address_space space;
extern struct kept_space *kept;
extern uint64_t cr3;
extern uint64_t version;

/* All is made anew, and read. */
void begin(void);
void end(void);
/* Which has to go well. */
void read_it(void);
bool is_same(void);

/* Words of the guest's memory. */
void set(uint64_t physical, uint64_t value);
void set_entry(uint64_t table, uint64_t index, uint64_t value);
/* What the kernel has this page at. */
uint64_t kernel(uint64_t page);

#endif
