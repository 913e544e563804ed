/* SPDX-License-Identifier: Apache-2.0 */
/* Another program with the same addresses: has the kernel map process 1's data there. */
#include "programs/vault/attack.h"

int main(int argc, char **argv)
{
    uint64_t signature;

    (void)argc;
    while (tiny_call(TINY_CALL_RECEIVE, (uint64_t)&signature, sizeof(signature), 0, 0) ==
           -TINY_EAGAIN) {
        tiny_yield();
    }
    for (unsigned i = 0; i < 3; i++) { /* process 1 goes on, and is inside when it is preempted */
        tiny_yield();
    }
    attack_map((uint64_t)vault_key, attack_frame_of(1, vault_key), TINY_MAP_READ);
    return attack_ends(argv[0], vault_is_key(vault_key, ATTACK_MESSAGE, signature));
}
