/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_GUEST_TABLES_H
#define TESTS_GUEST_TABLES_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/exits/guest_walk.h"

/* An L2 with a few pages of memory, page tables in it that map one address, and walks of them. */
#define P             (1ULL << 0)
#define W             (1ULL << 1)
#define U             (1ULL << 2)
#define LARGE         (1ULL << 7)
#define NX            (1ULL << 63)
#define FULL          (P | W | U)

#define CR0_WP        (1ULL << 16)
#define CR0_PG        (1ULL << 31)
#define CR4_PSE       (1ULL << 4)
#define CR4_PAE       (1ULL << 5)
#define CR4_LA57      (1ULL << 12)
#define SMEP          (1ULL << 20)
#define SMAP          (1ULL << 21)
#define EFER_LONG     (1ULL << 10)
#define EFER_NXE      (1ULL << 11)
#define RFLAGS_AC     (1ULL << 18)

#define TABLE(n)      (0x1000ULL * (n)) /* 4: the top one in long mode .. 1 */
#define PAGE          0x8000ULL
#define L2_SIZE       0x10000ULL
#define LONG_ADDRESS  0xffffff8040201abcULL /* indices 511, 1, 1, 1 */
#define SHORT_ADDRESS 0x40401abcULL         /* 32-bit: 257, 1; PAE: 1, 2, 1 */

extern uint8_t tables_memory[L2_SIZE];
extern uint64_t tables_hole;      /* reads of this page fail; 0: none */
extern unsigned int tables_reads; /* of the last walk */
extern struct guest_paging tables_paging;
extern struct guest_translation tables_got;
extern struct guest_fault tables_fault;
extern const struct guest_reader tables_reader;

/* Writes entry `index`, of `size` bytes, of the table at an address. */
void tables_set(uint64_t table, unsigned int index, uint64_t entry, size_t size);

/* What the entry of a level leads to in the tables below. */
uint64_t next_of(unsigned int level);

/* A paging mode, and in it LONG_ADDRESS or SHORT_ADDRESS -> PAGE with all rights. Unless level is
 * 0, its entry on the way is replaced. */
void long_mode(unsigned int level, uint64_t entry);
void pae_mode(unsigned int level, uint64_t entry);
void mode_32_bit(unsigned int level, uint64_t entry);

int tables_walk(uint64_t linear, unsigned int access);

/* These fail the test unless the walk ends like this. */
void leads_to(uint64_t linear, uint64_t address, uint64_t page_size, unsigned int levels);
void faults(uint64_t linear, unsigned int access, enum guest_fault_kind kind, uint32_t code,
            unsigned int level);

#endif
