/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enters by the door, with a place of another portion as the address to return to, which is none of
 * its entry points and refuses with an error: the call that was none is over, and goes on at the
 * next word of the stack, which is any function of the first portion.
 */
#include "programs/vault/attack.h"

/* Calls vault_check, which finds the number i in RDI at last, as in return.c. */
uint64_t word_by_hop(uint64_t i);

uint64_t number;

/* The other portion, in a section of its own. */
uint64_t other_entry(uint64_t i);

__asm__(".pushsection .other, \"ax\", @progbits\n"
        ".globl other_entry\n"
        ".type other_entry, @function\n"
        "other_entry:\n"
        "    leaq 1(%rdi), %rax\n"
        ".globl other_inner\n"
        "other_inner:\n"
        "    ret\n"
        ".size other_entry, . - other_entry\n"
        ".popsection\n");

__asm__(".pushsection .text\n"
        "set_number:\n"
        "    movq number(%rip), %rdi\n"
        "    xorl %eax, %eax\n"
        "    ret\n"
        ".globl word_by_hop\n"
        "word_by_hop:\n"
        "    movq %rdi, number(%rip)\n"
        "    leaq vault_key_word(%rip), %rax\n"
        "    pushq %rax\n"
        "    leaq other_inner(%rip), %rax\n"
        "    pushq %rax\n"
        "    leaq set_number(%rip), %rdx\n"
        "    jmp vault_check\n"
        ".popsection\n");

int main(int argc, char **argv)
{
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);
    uint64_t key[VAULT_KEY_WORDS];

    (void)argc;
    if (other_entry(1) != 2)
        return attack_ends(argv[0], false);
    for (uint64_t i = 0; i < VAULT_KEY_WORDS; i++)
        key[i] = word_by_hop(i);
    return attack_ends(argv[0], vault_is_key(key, ATTACK_MESSAGE, signature));
}
