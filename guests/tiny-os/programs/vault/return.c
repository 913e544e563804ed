/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enters by the door, with the address of another function of the portion as the one to return to:
 * the portion's own return goes there.
 */
#include "programs/vault/attack.h"

/* Calls vault_check with vault_key_word to return to, which finds the number i in RDI: the last
 * that vault_check does is to ask set_number. */
uint64_t word_by_return(uint64_t i);

uint64_t number;

__asm__(".pushsection .text\n"
        "set_number:\n"
        "    movq number(%rip), %rdi\n"
        "    xorl %eax, %eax\n"
        "    ret\n"
        ".globl word_by_return\n"
        "word_by_return:\n"
        "    movq %rdi, number(%rip)\n"
        "    leaq vault_key_word(%rip), %rax\n"
        "    pushq %rax\n"
        "    leaq set_number(%rip), %rdx\n"
        "    jmp vault_check\n"
        ".popsection\n");

int main(int argc, char **argv)
{
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);
    uint64_t key[VAULT_KEY_WORDS];

    (void)argc;
    for (uint64_t i = 0; i < VAULT_KEY_WORDS; i++) {
        key[i] = word_by_return(i);
    }
    return attack_ends(argv[0], vault_is_key(key, ATTACK_MESSAGE, signature));
}
