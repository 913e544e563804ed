/* SPDX-License-Identifier: Apache-2.0 */
/* What a program's own functions may be called with: own.h says it. */
#include "agent/agent.h"
#include "programs/own/own.h"

guard_callback check_own_pay, check_own_pay_twice, check_own_sum;

/* In no file: what an attacker looks for, who is told where it is. */
static char secret[32] __attribute__((aligned(256)));

static void make_secret(void)
{
    for (unsigned i = 0; i < sizeof(secret); i++) {
        ((volatile char *)secret)[i] = (char)(i * 37 + 101);
    }
}

static int begins(const char *text, const char *with)
{
    while (*with && *text == *with) {
        text++;
        with++;
    }
    return !*with;
}

int64_t check_own_pay(const struct guard_call *call)
{
    const char *to = (const char *)call->argument[0];

    if (begins(to, "forbidden")) {
        return MEZZ_GUARD_KILL;
    }
    return begins(to, "secret") || call->argument[1] > OWN_LIMIT ? -TINY_EACCES : MEZZ_GUARD_ALLOW;
}

int64_t check_own_pay_twice(const struct guard_call *call)
{
    (void)call; /* own_pay is guarded, too */
    return MEZZ_GUARD_ALLOW;
}

int64_t check_own_sum(const struct guard_call *call)
{
    (void)call;
    make_secret();
    return MEZZ_GUARD_ALLOW;
}
