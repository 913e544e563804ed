/* SPDX-License-Identifier: Apache-2.0 */
/* Has the kernel make the portion's code writable, and writes another vault_check over it. */
#include "programs/vault/attack.h"

#define RETURN_1 0x9090c300000001b8u /* mov $1, %eax; ret */

int main(int argc, char **argv)
{
    uint64_t code = (uint64_t)vault_check;
    uint64_t wrong = vault_sign(ATTACK_MESSAGE, 0) + 1;

    (void)argc;
    attack_map(code, attack_frame_of(0, vault_check),
               TINY_MAP_READ | TINY_MAP_WRITE | TINY_MAP_EXECUTE);
    *(volatile uint64_t *)code = RETURN_1;
    return attack_ends(argv[0], vault_check(ATTACK_MESSAGE, wrong, 0) == 1);
}
