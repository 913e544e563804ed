/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The portion calls out, and is returned to with a stack of the attacker's: what it kept there, and
 * where it returns to, is then the attacker's, too.
 */
#include "programs/vault/attack.h"

int confirm_elsewhere(uint64_t message);
_Noreturn void arrive(void);

#define SLOTS 64

uint64_t false_stack[SLOTS];
static const char *name;

/* Takes the return address along. */
__asm__(".pushsection .text\n"
        ".globl confirm_elsewhere\n"
        "confirm_elsewhere:\n"
        "    movq (%rsp), %rdx\n"
        "    leaq false_stack(%rip), %rsp\n"
        "    movl $1, %eax\n"
        "    jmp *%rdx\n"
        ".popsection\n");

void arrive(void)
{
    __asm__ volatile("leaq false_stack(%%rip), %%rsp\n"
                     "addq %0, %%rsp" ::"i"(SLOTS * 8 - 8));
    tiny_exit(attack_ends(name, true));
}

int main(int argc, char **argv)
{
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);

    (void)argc;
    name = argv[0];
    for (unsigned i = 0; i < SLOTS; i++) {
        false_stack[i] = (uint64_t)arrive;
    }
    vault_check(ATTACK_MESSAGE, signature, confirm_elsewhere);
    return attack_ends(argv[0], false);
}
