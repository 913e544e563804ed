/* SPDX-License-Identifier: Apache-2.0 */
/* What the attackers of the portion have in common. Each says how it went, or is ended before. */
#ifndef TINY_VAULT_ATTACK_H
#define TINY_VAULT_ATTACK_H

#include "lib/tiny.h"
#include "programs/vault/portion.h"

#define ATTACK_MESSAGE   7
#define ATTACK_ELSEWHERE 0x20000000 /* where nothing is mapped */

/* In assembly, of a function that loses its stack: what it has to keep for its caller, and with the
 * stack as it is then, the way back. */
#define ATTACK_KEEP    \
    "    pushq %rbx\n" \
    "    pushq %rbp\n" \
    "    pushq %r12\n" \
    "    pushq %r13\n" \
    "    pushq %r14\n" \
    "    pushq %r15\n"
#define ATTACK_RETURN \
    "    popq %r15\n" \
    "    popq %r14\n" \
    "    popq %r13\n" \
    "    popq %r12\n" \
    "    popq %rbp\n" \
    "    popq %rbx\n" \
    "    ret\n"

static inline int attack_ends(const char *name, bool succeeded)
{
    tiny_print("%s: %s\n", name, succeeded ? "the attack succeeded" : "the attack failed");
    return !succeeded;
}

/* The kernel is the attacker's: it maps what it is asked to (option `hostile`). */
static inline uint64_t attack_frame_of(uint64_t pid, const void *address)
{
    return (uint64_t)tiny_call(TINY_CALL_FRAME, pid, (uint64_t)address & ~0xfffull, 0, 0);
}

static inline int64_t attack_map(uint64_t address, uint64_t frame, uint64_t rights)
{
    return tiny_call(TINY_CALL_MAP, address & ~0xfffull, frame, rights, 0);
}

#endif
