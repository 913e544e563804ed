/* SPDX-License-Identifier: Apache-2.0 */
/* Lays a key of its own into the portion's data before anybody has entered it, so that the portion
 * signs with that one. With an argument it has the kernel do that, as the buffer of a call. */
#include "programs/vault/attack.h"

static const uint64_t planted[VAULT_KEY_WORDS] = {1, 2, 3, 4};
static const uint64_t is_made = 1;

static void write_by_kernel(void *to, const void *from, uint64_t length)
{
    static const char name[] = "seed";
    int64_t file = tiny_call(TINY_CALL_OPEN, (uint64_t)name, 4, TINY_OPEN_CREATE, 0);

    tiny_call(TINY_CALL_STORE, (uint64_t)file, (uint64_t)from, length, 0);
    tiny_call(TINY_CALL_CLOSE, (uint64_t)file, 0, 0, 0);
    file = tiny_call(TINY_CALL_OPEN, (uint64_t)name, 4, 0, 0);
    tiny_call(TINY_CALL_READ, (uint64_t)file, (uint64_t)to, length, 0);
    tiny_call(TINY_CALL_CLOSE, (uint64_t)file, 0, 0, 0);
}

static void write_by_itself(void)
{
    for (uint64_t i = 0; i < VAULT_KEY_WORDS; i++) {
        *(volatile uint64_t *)&vault_key[i] = planted[i];
    }
    *(volatile uint64_t *)&vault_has_key = is_made;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        write_by_kernel(&vault_has_key, &is_made, sizeof(is_made));
        write_by_kernel(vault_key, planted, sizeof(planted));
    } else {
        write_by_itself();
    }
    return attack_ends(argv[0],
                       vault_is_key(planted, ATTACK_MESSAGE, vault_sign(ATTACK_MESSAGE, 0)));
}
