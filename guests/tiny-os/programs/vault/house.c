/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the kernel let a table of the processor (enum tiny_table, by its number) lie in the page of
 * the key. Nobody gains by it: the question is how the guest ends.
 */
#include "programs/vault/attack.h"

#include "abi/tables.h"

#define PAGE 4096
/* From where the kernel has all physical memory: the last page of all addresses, which has none. */
#define LAST 0x7ffffff000
/* Long enough without an exit to be looked at. */
#define SPINS 100000000U

int main(int argc, char **argv)
{
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);
    uint64_t frame = attack_frame_of(0, vault_key);
    uint64_t kind = argc > 1 ? (uint64_t)(argv[1][0] - '0') : 0;
    bool ends = kind == TINY_TABLE_STACK || kind == TINY_TABLE_TRAPS;

    tiny_call(TINY_CALL_TABLE, kind, argc > 2 ? LAST : frame + (ends ? PAGE : 0), ATTACK_ELSEWHERE,
              0);
    for (unsigned int i = 0; argc > 2 && i < SPINS; i++)
        __asm__ volatile("");
    /* A walk, and a trap. */
    *(volatile uint64_t *)ATTACK_ELSEWHERE = signature;
    return attack_ends(argv[0], false);
}
