/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the kernel let it go on in ring 1, or 2 by the argument, which is neither a program's ring
 * nor the kernel's own, and enters there with another function of the portion to return to.
 */
#include "programs/vault/attack.h"

/* An entry point that leaves RDI alone, and a call of it with vault_key_word to return to. */
uint64_t vault_nothing(uint64_t i);
uint64_t word_by_return(uint64_t i);

__asm__(".pushsection .vault, \"ax\", @progbits\n"
        ".globl vault_nothing\n"
        ".type vault_nothing, @function\n"
        "vault_nothing:\n"
        "    xorl %eax, %eax\n"
        "    ret\n"
        ".size vault_nothing, . - vault_nothing\n"
        ".popsection\n"
        ".pushsection .text\n"
        ".globl word_by_return\n"
        "word_by_return:\n"
        "    leaq vault_key_word(%rip), %rax\n"
        "    pushq %rax\n"
        "    jmp vault_nothing\n"
        ".popsection\n");

static uint64_t ring(void)
{
    uint64_t cs;

    __asm__ volatile("movq %%cs, %0" : "=r"(cs));
    return cs & 3;
}

int main(int argc, char **argv)
{
    const uint64_t wanted = argc > 1 && argv[1][0] == '2' ? 2 : 1;
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);
    uint64_t key[VAULT_KEY_WORDS];

    tiny_call(TINY_CALL_RING, wanted, 0, 0, 0);
    if (ring() == wanted) {
        tiny_print("%s: rehearsed\n", argv[0]);
    }
    for (uint64_t i = 0; i < VAULT_KEY_WORDS; i++) {
        key[i] = word_by_return(i);
    }
    tiny_call(TINY_CALL_RING, 3, 0, 0, 0);
    return attack_ends(argv[0], vault_is_key(key, ATTACK_MESSAGE, signature));
}
