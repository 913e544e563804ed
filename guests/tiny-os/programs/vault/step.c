/* SPDX-License-Identifier: Apache-2.0 */
/* An honest user of a portion whose kernel single-steps it (option `hostile`): also over the
 * instructions that lead out of the portion. */
#include "lib/tiny.h"
#include "programs/vault/portion.h"

#define TIMES 4

static uint64_t asked;

static int yes(uint64_t message)
{
    asked += message;
    return 0;
}

/* Calls out, and gives a signature. */
uint64_t vault_sign_and_call(int (*function)(uint64_t message));
/* The last that it does is a jump. */
int vault_jump(int (*function)(uint64_t message));

__attribute__((section(".vault"), noinline, used)) uint64_t
vault_sign_and_call(int (*function)(uint64_t message))
{
    uint64_t pid = (uint64_t)tiny_getpid();
    uint64_t more = (uint64_t)function(pid);

    return vault_signature(vault_key, pid, 0) + more;
}

__attribute__((section(".vault"), noinline, used)) int vault_jump(int (*function)(uint64_t message))
{
    return function((uint64_t)tiny_getpid());
}

int main(int argc, char **argv)
{
    const uint64_t pid = (uint64_t)tiny_getpid();
    const uint64_t signature = vault_sign(pid, 0);
    int right = 0;

    (void)argc;
    tiny_call(TINY_CALL_STEP, 1, 0, 0, 0);
    for (int i = 0; i < TIMES; i++) {
        right += vault_sign(pid, 0) == signature;
        right += vault_sign_process() == signature;
        right += vault_sign_and_call(yes) == signature;
        right += vault_jump(yes) == 0;
    }
    tiny_call(TINY_CALL_STEP, 0, 0, 0, 0);
    tiny_print("%s: %d of %d answers are right\n", argv[0], right, 4 * TIMES);
    return right != 4 * TIMES || asked != 2 * TIMES * pid;
}
