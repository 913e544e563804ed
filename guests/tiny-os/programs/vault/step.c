/* SPDX-License-Identifier: Apache-2.0 */
/* An honest user of a portion whose kernel single-steps it (option `hostile`): also over the
 * instructions that lead out of the portion; and stops it within. DR6 says which. */
#include "lib/tiny.h"
#include "programs/vault/portion.h"

#define TIMES 4

static uint64_t asked;

static __attribute__((noinline)) int yes(uint64_t message)
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

static int64_t step(uint64_t on)
{
    return tiny_call(TINY_CALL_STEP, on, 0, 0, 0);
}

static int64_t break_at(const void *address)
{
    return tiny_call(TINY_CALL_BREAK, (uint64_t)address, 0, 0, 0);
}

/* What a processor tells of an ordinary program's, it has to tell of a portion's. */
static void stop_both(const char *name, int64_t untold, int64_t untold_inside)
{
    int64_t stops;

    break_at((const void *)yes);
    yes(0);
    stops = break_at((const void *)vault_sign);
    vault_sign_process();
    tiny_print("%s: steps untold %d, inside %d; stops %d, inside %d\n", name, (int)untold,
               (int)untold_inside, (int)stops, (int)break_at(0));
}

int main(int argc, char **argv)
{
    int64_t untold;
    int64_t untold_inside;
    const uint64_t pid = (uint64_t)tiny_getpid();
    const uint64_t signature = vault_sign(pid, 0);
    int right = 0;

    (void)argc;
    step(1);
    untold = step(1);
    for (int i = 0; i < TIMES; i++) {
        right += vault_sign(pid, 0) == signature;
        right += vault_sign_process() == signature;
        right += vault_sign_and_call(yes) == signature;
        right += vault_jump(yes) == 0;
    }
    untold_inside = step(0);
    tiny_print("%s: %d of %d answers are right\n", argv[0], right, 4 * TIMES);
    stop_both(argv[0], untold, untold_inside);
    return right != 4 * TIMES || asked != 2 * TIMES * pid;
}
