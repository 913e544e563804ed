/* SPDX-License-Identifier: Apache-2.0 */
/* Has the kernel take the portion's page of data away, and use it elsewhere, as if it were free. */
#include "programs/vault/attack.h"

int main(int argc, char **argv)
{
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);
    uint64_t frame = attack_frame_of(0, vault_key);
    uint64_t at = ATTACK_ELSEWHERE + ((uint64_t)vault_key & 0xfff);
    uint64_t key[VAULT_KEY_WORDS];

    (void)argc;
    attack_map((uint64_t)vault_key, frame, 0);
    attack_map(at, frame, TINY_MAP_READ | TINY_MAP_WRITE);
    for (uint64_t i = 0; i < VAULT_KEY_WORDS; i++) {
        key[i] = ((volatile uint64_t *)at)[i];
    }
    return attack_ends(argv[0], vault_is_key(key, ATTACK_MESSAGE, signature));
}
