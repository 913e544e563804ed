/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attacks on the guard of the API library: docs/hookguard.md has the table. attack.elf NAME tries
 * one; those with a helper need a second attack.elf with that name. An attacker knows everything,
 * addresses too, and the kernel is his where the option `hostile` gives it to him.
 */
#ifndef TINY_ATTACKS_ATTACK_H
#define TINY_ATTACKS_ATTACK_H

#include "api/api.h"
#include "lib/tiny.h"

#include <stdbool.h>

/* As agent/agent.ld has them, of each agent. */
#define AGENT_CODE       0x1020e000
#define AGENT_CODE_END   0x1020f000
#define AGENT_DOOR       0x10200000
#define AGENT_DATA       0x10209000 /* the page with its secret */
#define SECRET_BYTES     32
#define SECRET_ALIGNMENT 256 /* he knows that, too */
#define GATE_INDEX       0xc0
#define ELSEWHERE        0x20000000ul /* where nothing is mapped */
#define PAGE             4096ul

typedef int64_t open_function(const char *name, uint64_t flags);

/* True: it succeeded. */
typedef bool attack(void);
attack attack_stray_gate, attack_hidden_gate, attack_bad_index;
attack attack_own_skip, attack_own_return;
attack attack_skip, attack_stolen_prologue, attack_straddle, attack_alias_call;
attack attack_overwrite, attack_overwrite_agent, attack_read_hook, attack_discover, attack_remap,
    attack_alias;
attack attack_alias_large, attack_read_strange, attack_copy, attack_copy_call, attack_time;
attack attack_alias_read, attack_alias_write, attack_alias_stack;
attack attack_table_pages, attack_table_stack, attack_table_idt, attack_table_gdt, attack_table_tss,
    attack_handler;
attack attack_race, help_race, attack_return, help_return, attack_stack, help_stack;
attack attack_interrupt, help_interrupt;

/* The name that the agent lets nobody open, and a file of that name if there is one. */
extern const char forbidden_name[];
bool forbidden_file_exists(void);

/* Does the page hold what is in the agent's memory only? */
bool has_secret(const volatile uint8_t *page);

static inline uint64_t frame_of(uint64_t pid, uint64_t address)
{
    return (uint64_t)tiny_call(TINY_CALL_FRAME, pid, address & ~(PAGE - 1), 0, 0);
}

static inline int64_t map(uint64_t address, uint64_t frame, uint64_t rights)
{
    return tiny_call(TINY_CALL_MAP, address & ~(PAGE - 1), frame, rights, 0);
}

#endif
