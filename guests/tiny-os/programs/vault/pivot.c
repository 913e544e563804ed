/* SPDX-License-Identifier: Apache-2.0 */
/* Enters with the stack pointer in the portion's data: what the portion pushes is its next key. */
#include "programs/vault/attack.h"

#define ROUNDS 8

uint64_t stack_before;
void check_on_key(void);

/* The portion keeps registers there, and where it calls this from. It is not come back to. */
__asm__(".pushsection .text\n"
        "come_back:\n"
        "    movq stack_before(%rip), %rsp\n" ATTACK_RETURN ".globl check_on_key\n"
        "check_on_key:\n" ATTACK_KEEP "    movq %rsp, stack_before(%rip)\n"
        "    leaq vault_key+32(%rip), %rsp\n"
        "    leaq come_back(%rip), %rdx\n"
        "    jmp vault_check\n"
        ".popsection\n");

int main(int argc, char **argv)
{
    uint64_t signature = vault_sign(ATTACK_MESSAGE, ROUNDS);

    (void)argc;
    check_on_key();
    return attack_ends(argv[0], vault_sign(ATTACK_MESSAGE, ROUNDS) != signature);
}
