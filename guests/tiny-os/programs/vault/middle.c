/* SPDX-License-Identifier: Apache-2.0 */
/* Enters the portion at an address that is no entry point. */
#include "programs/vault/attack.h"

int main(int argc, char **argv)
{
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);
    uint64_t key[VAULT_KEY_WORDS];

    (void)argc;
    for (uint64_t i = 0; i < VAULT_KEY_WORDS; i++) {
        key[i] = vault_key_word(i);
    }
    return attack_ends(argv[0], vault_is_key(key, ATTACK_MESSAGE, signature));
}
