/* SPDX-License-Identifier: Apache-2.0 */
/* Uses the portion's data by an instruction that hosts do not emulate: the argument says which. */
#include "programs/vault/attack.h"

static void use_key(const char *way)
{
    uint64_t word;

    switch (way[0]) {
    case 'f': /* fild */
        __asm__ volatile("fildll (%0)" ::"r"(vault_key) : "memory");
        break;
    case 'i': /* iret */
        __asm__ volatile("movq %0, %%rsp\n"
                         "iretq" ::"r"(vault_key)
                         : "memory");
        break;
    case 'l': /* lar */
        __asm__ volatile("lar (%1), %0" : "=r"(word) : "r"(vault_key) : "cc", "memory");
        break;
    default: /* sldt */
        __asm__ volatile("sldt (%0)" ::"r"(vault_key) : "memory");
    }
}

int main(int argc, char **argv)
{
    vault_sign(ATTACK_MESSAGE, 0);
    use_key(argc > 1 ? argv[1] : "");
    return attack_ends(argv[0], true);
}
