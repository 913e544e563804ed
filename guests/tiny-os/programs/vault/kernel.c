/* SPDX-License-Identifier: Apache-2.0 */
/* Has the kernel read the portion's data: as a buffer of a system call. */
#include "programs/vault/attack.h"

int main(int argc, char **argv)
{
    static const char name[] = "loot";
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);
    uint64_t key[VAULT_KEY_WORDS] = {0};
    int64_t file = tiny_call(TINY_CALL_OPEN, (uint64_t)name, 4, TINY_OPEN_CREATE, 0);

    (void)argc;
    tiny_call(TINY_CALL_STORE, (uint64_t)file, (uint64_t)vault_key, sizeof(key), 0);
    tiny_call(TINY_CALL_CLOSE, (uint64_t)file, 0, 0, 0);
    file = tiny_call(TINY_CALL_OPEN, (uint64_t)name, 4, 0, 0);
    tiny_call(TINY_CALL_READ, (uint64_t)file, (uint64_t)key, sizeof(key), 0);
    return attack_ends(argv[0], vault_is_key(key, ATTACK_MESSAGE, signature));
}
