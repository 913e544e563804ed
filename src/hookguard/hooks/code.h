/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_HOOKS_CODE_H
#define HOOKGUARD_HOOKS_CODE_H

#include <stddef.h>
#include <stdint.h>

#include "host/error.h"

/* Machine code of hooks: what can be moved, and what is put in its place. */

#define HOOK_MOVED_LIMIT 96U /* bytes of a moved beginning */

/* A function as it lies in its file. */
struct hook_code {
    const uint8_t *bytes;
    uint64_t address;
    uint64_t length;
};

/* What the first `room` bytes of a function are. */
struct hook_beginning {
    uint64_t body; /* not 0: no-operations end here, and the function's first instruction begins */
    uint64_t length; /* else: bytes of the instructions that cover `room` */
};

/*
 * Decides whether a hook of `room` bytes fits at the beginning: every instruction of the function
 * decodes, none but no-operations lies there or all can be moved, nothing branches into them, and
 * no branch's target is unknown. -EINVAL with the reason alone.
 */
int hook_code_begin(const struct hook_code *code, uint64_t room, struct hook_beginning *beginning,
                    struct error *error);

/* Calls found() with the target of each direct branch and call, up to what is no instruction. What
 * it returns other than 0 ends this, and is returned. */
int hook_code_each_target(const struct hook_code *code,
                          int (*found)(void *context, uint64_t target), void *context);

/* The displaced instructions at their new address, and a jump behind them. *used: bytes. -EINVAL
 * with the reason. */
int hook_code_move(const struct hook_code *code, uint64_t length, uint64_t to,
                   uint8_t moved[HOOK_MOVED_LIMIT], size_t *used, struct error *error);

/* jmp rel32 at `from`; 5 bytes. -ERANGE if it does not reach. */
int hook_code_jump(uint8_t *to, uint64_t from, uint64_t target);

/* movb $index, gate; HOOK_GATE_BYTES. gate: below 2 GiB. */
void hook_code_gate(uint8_t *to, uint64_t gate, uint8_t index);

/*
 * A page of nothing but gates and padding: a gate of HOOK_INDEX at each of the `count` entries
 * (offsets, ascending), and a gate of HOOK_TRAP_INDEX at the end that all the padding runs into.
 */
void hook_code_pad(uint8_t *page, uint64_t gate, const uint32_t *entry, size_t count);

/*
 * Follows the processor from each offset of such a page: whatever is executed there must lead to
 * the gate of HOOK_TRAP_INDEX, to an entry's gate, or to an exception; it neither leaves the page
 * nor branches, calls, returns or enters a kernel. Halves of gates may compute and store, which is
 * what who jumped there can do by itself. -EINVAL, and the offset and the reason.
 */
int hook_code_prove(const uint8_t *page, uint64_t address, uint64_t gate, const uint32_t *entry,
                    size_t count, struct error *error);

#endif
