/* SPDX-License-Identifier: Apache-2.0 */
/* The honest user of its own guarded functions: own.elf, or own.elf greedy, who asks for too much.
 */
#include "programs/own/own.h"

#include "lib/tiny.h"

#define ROUNDS 50

static void expect(const char *what, int64_t result, int64_t expected)
{
    if (result == expected) {
        tiny_print("own: %s works\n", what);
    } else {
        tiny_print("own: %s FAILED: %ld\n", what, result);
    }
}

int main(int argc, char **argv)
{
    int64_t result = 0;

    expect("pay", own_pay("alice", 5), 5);
    expect("denial by name", own_pay("secret.txt", 1), -TINY_EACCES);
    expect("denial by number", own_pay("alice", OWN_LIMIT + 1), -TINY_EACCES);
    expect("nested", own_pay_twice("bob", 10), 25);
    expect("nested denial", own_pay_twice("secret.txt", 10), -TINY_EACCES);
    expect("the sum", (int64_t)own_paid, 25);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        result = own_pay("carol", 1);
        tiny_yield();
    }
    expect("taking turns", result, 25 + ROUNDS);
    if (argc > 1 && argv[1][0] == 'g') {
        own_pay("forbidden", 1);
        tiny_print("own: the agent's kill FAILED\n");
    }
    return 0;
}
