/* SPDX-License-Identifier: Apache-2.0 */
/* An honest user of a portion that makes a system call of its own. */
#include "lib/tiny.h"
#include "programs/vault/portion.h"

#define TIMES 10

int main(int argc, char **argv)
{
    uint64_t signature = vault_sign((uint64_t)tiny_getpid(), 0);
    int right = 0;

    (void)argc;
    for (int i = 0; i < TIMES; i++) {
        right += vault_sign_process() == signature;
    }
    tiny_print("%s: %d of %d answers are right\n", argv[0], right, TIMES);
    return right != TIMES;
}
