/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enters by the door in compatibility mode, where the portion's bytes are other instructions: the
 * constant that a password is compared with is a jump behind the comparison. That there is such a
 * mode is tried first with a function of the program's own.
 */
#include "programs/vault/attack.h"

#define HALVES    (2 * VAULT_KEY_WORDS)
#define REHEARSED 0x5e7u

/* Half a word of the key, for who has the password. */
uint64_t vault_half(uint64_t i, uint64_t password);
uint32_t rehearsal(void);

/* Calls it in compatibility mode; it gets i, and no password. */
uint64_t call_32(uint32_t i, uint32_t function);

__asm__(".pushsection .vault, \"ax\", @progbits\n"
        ".globl vault_half\n"
        ".type vault_half, @function\n"
        "vault_half:\n"
        "    movabsq $0x909007eb5ec3e75e, %rax\n"
        "    cmpq %rax, %rsi\n"
        "    jne 1f\n"
        "    movl vault_key(, %rdi, 4), %eax\n"
        "    ret\n"
        "1:  xorl %eax, %eax\n"
        "    ret\n"
        ".size vault_half, . - vault_half\n"
        ".popsection\n"
        ".pushsection .text\n"
        "rehearsal:\n"
        "    movl $0x5e7, %eax\n"
        "    ret\n"
        /* What is returned to is a word for either mode. */
        "call_32:\n"
        "    pushq %rbx\n"
        "    movl $0x1b, %eax\n"
        "    movl %eax, %ds\n"
        "    pushq $0x3b\n"
        "    leaq 1f(%rip), %rax\n"
        "    pushq %rax\n"
        "    lretq\n"
        ".code32\n"
        "1:  pushl $0\n"
        "    call *%esi\n"
        "    addl $4, %esp\n"
        "    ljmp $0x23, $2f\n"
        ".code64\n"
        "2:  popq %rbx\n"
        "    ret\n"
        ".popsection\n");

int main(int argc, char **argv)
{
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);
    uint64_t key[VAULT_KEY_WORDS];

    (void)argc;
    if (call_32(0, (uint32_t)(uint64_t)rehearsal) == REHEARSED) {
        tiny_print("%s: rehearsed\n", argv[0]);
    }
    for (uint32_t i = 0; i < HALVES; i += 2) {
        const uint64_t low = call_32(i, (uint32_t)(uint64_t)vault_half);
        const uint64_t high = call_32(i + 1, (uint32_t)(uint64_t)vault_half);

        key[i / 2] = high << 32 | low;
    }
    return attack_ends(argv[0], vault_is_key(key, ATTACK_MESSAGE, signature));
}
