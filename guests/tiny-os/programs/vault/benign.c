/* SPDX-License-Identifier: Apache-2.0 */
/* Uses the portion as it is meant: also from another process at the same time, when started twice.
 */
#include "lib/tiny.h"
#include "programs/vault/portion.h"

#define TIMES 20

static uint64_t asked;

static int yes(uint64_t message)
{
    asked += message;
    tiny_yield();
    return 1;
}

static int no(uint64_t message)
{
    asked += message;
    return 0;
}

int main(int argc, char **argv)
{
    int right = 0;

    (void)argc;
    for (uint64_t i = 1; i <= TIMES; i++) {
        uint64_t signature = vault_sign(i, 0);

        right += vault_check(i, signature, 0) == 1;
        right += vault_check(i + 1, signature, 0) == 0;
        right += vault_check(i, signature, yes) == 1;
        right += vault_check(i, signature, no) == 0;
    }
    tiny_print("%s: %d of %d answers are right\n", argv[0], right, 4 * TIMES);
    return right != 4 * TIMES || asked != TIMES * (TIMES + 1);
}
