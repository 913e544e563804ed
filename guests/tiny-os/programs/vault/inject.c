/* SPDX-License-Identifier: Apache-2.0 */
/* Writes known malicious code into its portion after that was scanned, and has it run. */
#include "programs/vault/attack.h"

static const char marker[] = "MEZZ\0MALICIOUS\0TEST\0MARKER";

int main(int argc, char **argv)
{
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);
    volatile uint8_t *code = vault_spare;

    (void)argc;
    attack_map((uint64_t)code, attack_frame_of(0, vault_spare),
               TINY_MAP_READ | TINY_MAP_WRITE | TINY_MAP_EXECUTE);
    for (unsigned i = 0; i < sizeof(marker) - 1; i++) {
        code[i] = (uint8_t)marker[i];
    }
    tiny_print("%s: written\n", argv[0]);
    return attack_ends(argv[0], vault_check(ATTACK_MESSAGE, signature, 0) == 1);
}
