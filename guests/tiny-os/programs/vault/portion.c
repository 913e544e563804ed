/* SPDX-License-Identifier: Apache-2.0 */
#include "programs/vault/portion.h"

#include "lib/tiny.h"

#define CODE   __attribute__((section(".vault"), noinline, used))
#define SECRET __attribute__((section(".secret")))

SECRET uint64_t vault_key[VAULT_KEY_WORDS] = {0};
SECRET uint64_t vault_has_key = 0;

/* Room for what an attacker writes: never run. */
__asm__(".pushsection .vault, \"ax\", @progbits\n"
        ".balign 64\n"
        ".globl vault_spare\n"
        ".type vault_spare, @object\n"
        ".size vault_spare, 64\n"
        "vault_spare: .fill 64, 1, 0xcc\n"
#ifdef VAULT_MARKER
        ".globl vault_marker\n"
        ".type vault_marker, @object\n"
        ".size vault_marker, 64\n"
        "vault_marker: .ascii \"MEZZ\\0MALICIOUS\\0TEST\\0MARKER\"\n"
        ".balign 64\n"
#endif
        ".popsection\n");

CODE static void make_key(void)
{
    for (unsigned i = 0; i < VAULT_KEY_WORDS; i++) {
        uint32_t low, high;

        __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
        vault_key[i] = ((uint64_t)high << 32 | low) * 0xd1342543de82ef95u + i;
    }
    vault_has_key = 1;
}

CODE uint64_t vault_key_word(uint64_t i)
{
    return vault_key[i % VAULT_KEY_WORDS];
}

CODE uint64_t vault_sign(uint64_t message, uint64_t rounds)
{
    if (!vault_has_key) {
        make_key();
    }
    return vault_signature(vault_key, message, rounds);
}

CODE uint64_t vault_sign_process(void)
{
    return vault_sign((uint64_t)tiny_getpid(), 0);
}

CODE int vault_check(uint64_t message, uint64_t signature, int (*confirm)(uint64_t message))
{
    if (confirm && !confirm(message)) {
        return 0;
    }
    return vault_signature(vault_key, message, 0) == signature;
}
