/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel single-steps the portion and looks at the registers and flags that it finds at each
 * step, while the portion counts the ones of its key. The argument says how steps come: by
 * themselves; `call`: to the handler of system calls, behind an instruction that ends with the
 * bytes of such a call; `int`: where ring 3 may call their vector, behind the bytes of that. That
 * there is something to see is tried first with a function of the program's own.
 */
#include "programs/vault/attack.h"

#include "abi/steps.h"

#include <stdbool.h>

/* The ones of the key's first word, and of another word. */
uint64_t vault_ones(void);
uint64_t ones(void);
/* Behind the system call in them, and behind them. */
extern const uint8_t vault_ones_called[], ones_called[];
extern const uint8_t vault_ones_end[], ones_end[];

uint64_t word = 0x8123456789abcdef;

/* Steps begin with a system call, as a portion is not entered in them. Each flag that is needed was
 * made by the instruction before, or earlier. */
#define ONES(name, from)                      \
    ".globl " name "\n"                       \
    ".type " name ", @function\n" name ":\n"  \
    "    movl $4, %eax\n"                     \
    "    int $0x80\n" name "_called:\n"       \
    "    movq " from "(%rip), %rdx\n"         \
    "    movabsq $0x80cd000000000000, %rcx\n" \
    "    movabsq $0x01cd000000000000, %rcx\n" \
    "    xorl %eax, %eax\n"                   \
    "    movl $64, %ecx\n"                    \
    "1:  shlq $1, %rdx\n"                     \
    "    adcl $0, %eax\n"                     \
    "    decl %ecx\n"                         \
    "    jnz 1b\n"                            \
    "    ret\n" name "_end:\n"                \
    ".size " name ", . - " name "\n"

__asm__(".pushsection .vault, \"ax\", @progbits\n" ONES(
    "vault_ones", "vault_key") ".popsection\n"
                               ".pushsection .text\n" ONES("ones", "word") ".popsection\n");

/* What the function gives in steps, and what the kernel sees. */
static uint64_t step(enum tiny_step how, uint64_t (*function)(void), const uint8_t *called,
                     const uint8_t *end, struct tiny_seen *seen)
{
    uint64_t result;

    tiny_call(TINY_CALL_STEP, how, (uint64_t)function, (uint64_t)end, (uint64_t)called);
    result = function();
    tiny_call(TINY_CALL_STEP, TINY_STEP_OFF, 0, 0, 0);
    tiny_call(TINY_CALL_SEEN, (uint64_t)seen, 0, 0, 0);
    return result;
}

int main(int argc, char **argv)
{
    const enum tiny_step how = argc < 2            ? TINY_STEP_ON
                               : argv[1][0] == 'c' ? TINY_STEP_AS_CALL
                                                   : TINY_STEP_OPEN;
    struct tiny_seen seen = {0, 0, 0};
    uint64_t right;

    vault_sign(ATTACK_MESSAGE, 0);
    right = step(how, ones, ones_called, ones_end, &seen) == ones();
    if ((seen.registers & word) == word && seen.flags) {
        tiny_print("%s: rehearsed\n", argv[0]);
    }
    right += step(how, vault_ones, vault_ones_called, vault_ones_end, &seen) == vault_ones();
    tiny_print("%s: %lu of 2 answers are right, seen in %lu steps: registers 0x%lx, flags 0x%lx\n",
               argv[0], right, seen.steps, seen.registers, seen.flags);
    return attack_ends(argv[0], seen.registers || seen.flags);
}
