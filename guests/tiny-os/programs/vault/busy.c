/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A victim: gives process 2 a signature, and is inside the portion nearly all of the time. With an
 * argument it ends there, by a fault.
 */
#include "programs/vault/attack.h"

#define ROUNDS 100000
#define TIMES  20

int main(int argc, char **argv)
{
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);
    uint64_t sum = 0;

    while (tiny_call(TINY_CALL_SEND, 2, (uint64_t)&signature, sizeof(signature), 0) ==
           -TINY_EAGAIN) {
        tiny_yield();
    }
    if (argc > 1) {
        vault_check(0, 0, (int (*)(uint64_t))ATTACK_ELSEWHERE);
    }
    for (unsigned i = 0; i < TIMES; i++) {
        sum += vault_sign(i, ROUNDS);
    }
    tiny_print("%s: has signed to the end, %d\n", argv[0], sum != 0);
    return 0;
}
