/* SPDX-License-Identifier: Apache-2.0 */
/* Uses the portion as it is meant, 20 times or as often as the first argument says: also from
 * another process at the same time, when started twice. */
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

static uint64_t number(const char *text)
{
    uint64_t n = 0;

    while (*text >= '0' && *text <= '9') {
        n = n * 10 + (uint64_t)(*text++ - '0');
    }
    return n;
}

int main(int argc, char **argv)
{
    const uint64_t times = argc > 1 ? number(argv[1]) : TIMES;
    uint64_t right = 0;

    for (uint64_t i = 1; i <= times; i++) {
        uint64_t signature = vault_sign(i, 0);

        right += vault_check(i, signature, 0) == 1;
        right += vault_check(i + 1, signature, 0) == 0;
        right += vault_check(i, signature, yes) == 1;
        right += vault_check(i, signature, no) == 0;
    }
    tiny_print("%s: %lu of %lu answers are right\n", argv[0], right, 4 * times);
    return right != 4 * times || asked != times * (times + 1);
}
