/* SPDX-License-Identifier: Apache-2.0 */
/* Its portion holds code that is known to be malicious (the marker of portion.c). */
#include "programs/vault/attack.h"

int main(int argc, char **argv)
{
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);

    (void)argc;
    return attack_ends(argv[0], vault_check(ATTACK_MESSAGE, signature, 0) == 1);
}
